"""The report's tables before HTML: every one is a `Grid`, so that all look, link and sort alike."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from autoloss.metrics import METRICS
from autoloss.records.index import CELL
from autoloss.records.schema import Record
from autoloss.registry import MODELS, OWN
from autoloss.report.evidence import Evidence, label_of
from autoloss.report.frames import cell_of, rows_of
from autoloss.report.tables import Block, Table, Text
from autoloss.study import Cell, Study

RUN_COLUMNS = (
    *(("", "run"), ("", "status")),
    *(("test", metric.label) for metric in METRICS.values()),
    *(("", "best epoch"), ("", "seconds")),
)


@dataclass(frozen=True)
class Item:
    """A cell: its text, what it sorts by if not its text, where it leads, and its emphasis."""

    text: str
    value: float | None = None
    href: str = ""
    bold: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Grid:
    """A table: a caption, two-level column names, and rows whose first item names them."""

    caption: str
    corner: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Item]]
    words: bool = False  # not numbers: long texts wrap

    @property
    def tops(self) -> list[tuple[str, int]]:
        """The upper names and how many columns each spans; none where no column has one."""
        spans = [(top, len(list(same))) for top, same in groupby(self.columns, key=lambda c: c[0])]
        return spans if any(top for top, _ in spans) else []


def anchor(cell: Cell) -> str:
    """The id of a cell's runs on the page."""
    return f"runs/{cell}"


def relative(study: Study, file: Path) -> str:
    """A link from the report to a file."""
    return quote(Path(os.path.relpath(file, study.results)).as_posix())


def number(value: Any, digits: int = 4) -> Item:
    """A number, rounded for the eye and not for sorting; a dash where there is none."""
    if value is None or pd.isna(value):
        return Item("–")
    if isinstance(value, float):
        return Item(f"{value:.{digits}f}", value)
    return Item(f"{value:,}", value)


def table_grids(table: Table) -> list[Grid]:
    """A table of the paper: the same cells as its Markdown, each leading to its runs."""
    if "reading" in table.long:
        return [_text_grid(block, "reading") for block in table.blocks]
    if "method" not in table.long:
        return [_data_grid(table.blocks[0], table.long)]
    parts = [part for _, part in table.long.groupby("dataset", sort=False)]
    return [_block_grid(*pair) for pair in zip(table.blocks, parts, strict=True)]


def _data_grid(block: Block, long: pd.DataFrame) -> Grid:
    body = [
        [
            Item(name),
            *(_item(text, row.get(shown)) for text, shown in zip(texts, names, strict=True)),
        ]
        for (name, texts), row in zip(block.rows, rows_of(long), strict=True)
        for names in [list(row)[1:]]
    ]
    return Grid(block.heading, "data set", block.columns, body)


def _text_grid(block: Block, corner: str) -> Grid:
    """A block whose texts begin with the numbers that they sort by."""
    body = [[Item(name), *map(_by_first_number, texts)] for name, texts in block.rows]
    return Grid(block.heading, corner, block.columns, body)


def _by_first_number(text: Text) -> Item:
    try:
        return _item(text, float(text.text.split()[0]))
    except (IndexError, ValueError):
        return _item(text)


def _block_grid(block: Block, part: pd.DataFrame) -> Grid:
    """A data set's block; `part` has its numbers, methods in the block's order."""
    numbers = {
        (row["method"], MODELS[row["model"]], METRICS[row["metric"]].label): row
        for row in rows_of(part)
    }
    body = []
    for method, (label, texts) in zip(part["method"].unique(), block.rows, strict=True):
        items = [Item(label, bold=method == OWN)]
        for (model, metric), text in zip(block.columns, texts, strict=True):
            row = numbers[method, model, metric.removeprefix("paper, ")]
            if metric.startswith("paper, "):
                items.append(_item(text, row["published"]))
            else:
                items.append(_item(text, row["mean"], f"#{anchor(cell_of(row))}"))
        body.append(items)
    return Grid(block.heading, "method", block.columns, body)


def _item(text: Text, value: Any = None, href: str = "") -> Item:
    found = float(value) if isinstance(value, (int, float)) and not pd.isna(value) else None
    return Item(text.text, found, href, text.bold, text.mark)


def run_grids(evidence: Evidence) -> dict[Cell, Grid]:
    """The runs of every cell, each leading to its record."""
    study = evidence.study
    return {
        cell: Grid(
            f"{study.dataset(cell.dataset).title}, {MODELS.get(cell.model, cell.model)}, "
            f"{label_of(study, cell.method)}",
            "seed",
            RUN_COLUMNS,
            [_run(study, cell, row) for row in found],
        )
        for cell, found in evidence.cells().items()
    }


def _run(study: Study, cell: Cell, row: Mapping[str, Any]) -> list[Item]:
    record = relative(study, study.record_file(cell, row["seed"]))
    return [
        Item(str(row["seed"])),
        Item(row["run_id"], href=record),
        Item(row["status"], mark="failed" if row["status"] == "failed" else ""),
        *(number(row[metric]) for metric in METRICS),
        number(row["best_epoch"]),
        number(float(row["seconds"]), 1),
    ]


def budget_grid(study: Study, budgets: pd.DataFrame, caption: str) -> Grid:
    """What each cell's runs cost, in the budget file's own columns."""
    shown = [name for name in budgets.columns if name not in CELL]
    body = [
        [
            Item(str(cell_of(row)), href=f"#{anchor(cell_of(row))}"),
            *(number(row[name], 1) for name in shown),
        ]
        for row in rows_of(budgets)
    ]
    return Grid(caption, "cell", [("", name.replace("_", " ")) for name in shown], body)


def failed_grid(study: Study, records: Mapping[str, Record]) -> Grid | None:
    """The failed runs and why; None where none failed."""
    body = []
    for record in records.values():
        if record.failure is None:
            continue
        cell = Cell(record.dataset, record.model, record.method)
        file = relative(study, study.record_file(cell, record.seed))
        body.append(
            [
                Item(str(cell), href=f"#{anchor(cell)}"),
                Item(str(record.seed), record.seed),
                Item(record.run_id, href=file),
                Item(record.failure.kind),
                Item(record.failure.message),
            ]
        )
    columns = [("", name) for name in ("seed", "run", "kind", "message")]
    return Grid("", "cell", columns, body, words=True) if body else None
