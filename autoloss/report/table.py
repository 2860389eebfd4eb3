"""A table before any format: the one model of all tables, in files and on the report's page.

`autoloss/report/render.py` writes it as Markdown and LaTeX, the page's template as HTML; `long`,
one row per number, is its CSV.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import pandas as pd

from autoloss.study.cell import Cell

MARKS = {  # kinds of marks, named by how their entry's method fares, each with what it says
    "star": "wins, significantly, against the best other method of the cell",
    "worse": "{} wins, significantly, against the method of this row",
    "better": "{} loses, significantly, to the method of this row",
}
GLYPHS = {"star": "*", "worse": "▲", "better": "▽"}  # an arrow would point at the number
DIRECTION = "Of a log loss the smaller wins."
NUMBERS = "¹²³⁴⁵⁶⁷⁸⁹"  # of our methods, where marks must say which one they are about


@dataclass(frozen=True)
class Item:
    """One entry: text, bold or not, and marks, or a class of the page's style.

    Marks are words: a kind of `MARKS`, then the number of our method where there are several, as in
    "worse1 better2".
    On the page it sorts by `value` where it has one, and leads to `href`: a place on the page, or
    from / on a file of the project, to which it leads in Markdown too.
    """

    text: str
    value: float | None = None
    href: str = ""
    bold: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Grid:
    """A part of a table: a caption, two-level column names, and rows whose first item names them.

    `corner` is the head of the first column; `words` says that long texts may wrap.
    """

    caption: str
    corner: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Item]]
    words: bool = False

    @property
    def tops(self) -> list[tuple[str, int]]:
        """The upper names and how many columns each spans; none where no column has one."""
        spans = [(top, len(list(same))) for top, same in groupby(self.columns, key=lambda c: c[0])]
        return spans if any(top for top, _ in spans) else []


@dataclass(frozen=True)
class Table:
    """A table: its grids, the notes that a reader needs to judge it, and its long form.

    `ours` are the labels of the methods that its marks are about. `lead` is what it shows, in a
    sentence, before all else.
    """

    title: str
    grids: Sequence[Grid]
    notes: Sequence[str] = ()
    long: pd.DataFrame = field(default_factory=pd.DataFrame)
    ours: Sequence[str] = ()
    lead: str = ""

    @property
    def legend(self) -> dict[str, str]:
        """The kinds of marks that occur, and what each says."""
        items = (item for grid in self.grids for row in grid.rows for item in row)
        used = {kind for item in items for kind in marks_of(item.mark)}
        return {kind: text for kind, text in meanings(self.ours).items() if kind in used}


def marks_of(words: str) -> dict[str, str]:
    """The marks in an item's `mark`: by kind, the numbers of our methods that they are about.

    Of "worse1 worse3" {"worse": "¹³"}, of "worse" {"worse": ""}, of a class of the page nothing.
    """
    marks: dict[str, str] = {}
    for word in words.split():
        kind = word.rstrip("123456789")
        if kind in MARKS:
            marks[kind] = marks.get(kind, "") + "".join(
                NUMBERS[int(n) - 1] for n in word[len(kind) :]
            )
    return marks


def meanings(ours: Sequence[str]) -> dict[str, str]:
    """What each kind of mark says, where ours have these labels: one, or several with numbers."""
    whom = ours[0] if len(ours) == 1 else "the method of that number"
    return {kind: text.format(whom) for kind, text in MARKS.items()}


def number(value: Any, digits: int = 4) -> Item:
    """A number, rounded for the eye and not for sorting; a dash where there is none."""
    if value is None or pd.isna(value):
        return Item("–")
    return Item(f"{value:.{digits}f}" if isinstance(value, float) else f"{value:,}", value)


def interval(
    row: Mapping[str, Any],
    mean: str = "mean",
    low: str = "low",
    high: str = "high",
    *,
    bold: bool = False,
) -> Item:
    """A gain with its interval, from a row's columns of these names; a dash where there is none."""
    if pd.isna(row.get(mean)):
        return Item("–", bold=bold)
    return Item(f"{row[mean]:+.4f} [{row[low]:+.4f}, {row[high]:+.4f}]", row[mean], bold=bold)


def plain_columns(*names: str) -> list[tuple[str, str]]:
    """Columns without an upper name."""
    return [("", name) for name in names]


def choice_href(choice: str) -> str:
    """Where a reader finds an open choice: its row in docs/deviations.md."""
    return f"/docs/deviations.md#{choice.lower()}"


def runs_of(cell: Cell) -> str:
    """The link to a cell's runs on the report's page."""
    return f"#runs/{cell}"
