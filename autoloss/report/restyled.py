"""A figure or a table for a paper of one's own: some methods, other labels, another look.

It is made as the workflow makes it, from the same records: what is not shown still counts in every
test, correction and best mean. It never takes the place of the workflow's own.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from autoloss.errors import ConfigError, require_known
from autoloss.names import two_alike
from autoloss.records.store import write_bytes, write_text
from autoloss.report.catalogue import product_of
from autoloss.report.figures import METADATA, as_json, make_figure, render
from autoloss.report.figures._style import PAGE, load_style
from autoloss.report.render import to_latex, to_markdown
from autoloss.report.table import NUMBERS, Item, Table
from autoloss.report.tables import make_table
from autoloss.study.study import Study

FOLDER = "restyled"  # of a study's, where no other is named
INCHES = {"mm": 1 / 25.4, "cm": 1 / 2.54, "in": 1.0, "pt": 1 / 72.27}  # of LaTeX's lengths
LENGTH = re.compile(r"(\d+(?:\.\d+)?) *(" + "|".join(INCHES) + ")")
WIDEST = 20.0  # inches
TEXTS = ("tex", "md", "csv")


@dataclass(frozen=True)
class Shown(Study):
    """A study of which some methods are shown, in this order, and under these labels.

    Args:
        chosen: the methods; all, if there are none.
        labels: by method, in place of its own.
    """

    chosen: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def label(self, method: str) -> str:
        """As the user has it, with what a variant changes."""
        usual, own = super().label(method), self.entry(method).info.label
        return self.labels.get(self.base(method), own) + usual.removeprefix(own)

    def shows(self, method: str) -> bool:
        """Whether a method is among the chosen, as itself or as a variant's base."""
        return not self.chosen or self.base(method) in self.chosen

    def note(self, there: Collection[str]) -> str:
        """What a reader must know of the methods that were `there`, and are not shown."""
        count = len({*map(self.base, there)})
        left_out = count - len({self.base(method) for method in there if self.shows(method)})
        if not left_out:
            return ""
        return (
            f"Shown are {count - left_out} of {count} methods: means, intervals, tests with their "
            "corrections, marks and bold are those among all of them."
        )


def restyled_figure(
    study: Study,
    name: str,
    *,
    methods: str | None = None,
    labels: str | None = None,
    style: Path | None = None,
    width: str | None = None,
    kind: str | None = None,
    output: Path | None = None,
) -> Iterator[str]:
    """Write a figure, the plotted numbers beside it as CSV, what it shows as JSON; what is said.

    Args:
        study: whose runs there are.
        name: of the figure.
        methods: those to show, `ce,darts,autoloss`; all if left out.
        labels: `autoloss=Ours,ce=Cross-entropy`.
        style: a YAML file (docs/running.md).
        width: with its unit, as `85mm`; the project's own if left out.
        kind: "pdf", "png" or "svg"; the ending of `output`, or "pdf", if left out.
        output: the picture's file; among the study's figures, in a folder apart, if left out.

    Raises:
        ConfigError: one of these is nothing that can be done, with the mend.
        RecordError: what it is made of is missing, or of another study.
    """
    product, shown = product_of("figure", name), _shown(study, methods, labels)
    look = None if style is None else load_style(style)
    inches = PAGE if width is None else _inches(width)
    default = study.figures_folder / FOLDER / name
    file = _file(default, kind, output, tuple(METADATA), "pdf")
    frame, about = make_figure(shown, name)
    if shown.chosen:
        if not product.groups or "method" not in frame:
            problem = f"the figure '{name}' does not show methods' runs"
            raise ConfigError("--methods", problem, "leave it out")
        about["caption"] = f"{about['caption']} {shown.note(frame['method'].unique())}".strip()
        frame = _rows(frame, shown, f"the figure '{name}'", product.base)
    text = frame.to_csv(index=False)
    picture = render(name, text, [file.suffix[1:]], look, inches)[file.suffix[1:]]
    options = {"methods": methods, "labels": labels, "style": style, "width": width}
    about["restyled"] = {key: str(value) for key, value in options.items() if value is not None}
    yield str(write_bytes(picture, file))
    yield str(write_text(text, file.with_suffix(".csv")))
    yield str(write_text(as_json(about), file.with_suffix(".json")))
    yield about["caption"]


def restyled_table(
    study: Study,
    name: str,
    *,
    methods: str | None = None,
    labels: str | None = None,
    kind: str | None = None,
    output: Path | None = None,
) -> Iterator[str]:
    """Write a table; what is said. Arguments and errors as of `restyled_figure`.

    `kind` is "tex", "md" or "csv"; "tex" if it is left out.
    """
    shown = _shown(study, methods, labels)
    file = _file(study.results / FOLDER / name, kind, output, TEXTS, "tex")
    table = make_table(shown, name)
    table, note = _choose(table, shown, name) if shown.chosen else (table, "")
    texts = {
        ".csv": lambda: table.long.to_csv(index=False),
        ".md": lambda: to_markdown(table),
        ".tex": lambda: to_latex(table, label=name),
    }
    yield str(write_text(texts[file.suffix](), file))
    if note:
        yield note


def _shown(study: Study, methods: str | None, labels: str | None) -> Shown:
    chosen = [] if methods is None else [name.strip() for name in methods.split(",")]
    require_known(chosen, study.methods, "method", "--methods")
    if len({*chosen}) < len(chosen):
        raise ConfigError("--methods", f"'{methods}' names one twice", "name each once")
    names: dict[str, str] = {}
    for pair in re.split(r",(?=\s*\w+\s*=)", labels) if labels is not None else []:
        name, equals, label = (part.strip() for part in pair.partition("="))
        if not (equals and label):
            mend = f"write NAME=LABEL, as in --labels {shlex.quote('autoloss=Ours,ce=CE loss')}"
            raise ConfigError("--labels", f"'{pair}' gives no method a label", mend)
        names[name] = label
    require_known(names, study.methods, "method", "--labels")
    shown = Shown(study.config, study.root, chosen=tuple(chosen), labels=names)
    if alike := two_alike({name: shown.label(name) for name in study.methods}):
        first, second = alike
        problem = f"'{first}' and '{second}' would both be called '{shown.label(first)}'"
        raise ConfigError("--labels", problem, "give each a label of its own")
    return shown


def _inches(width: str) -> float:
    match = LENGTH.fullmatch(width.strip())
    inches = float(match[1]) * INCHES[match[2]] if match else 0.0
    if not 1 <= inches <= WIDEST:
        mend = f"give a length from 1in to {WIDEST:g}in, as 85mm, 3.33in or 240pt"
        raise ConfigError("--width", f"'{width}' is no width of a figure", mend)
    return inches


def _file(
    default: Path, kind: str | None, output: Path | None, kinds: Collection[str], usual: str
) -> Path:
    """The file to write: no product of the workflow's."""
    ending = output.suffix.removeprefix(".") if output else ""
    wanted = kind or ending or usual
    if wanted not in kinds:
        where = "--format" if kind else "--output"
        problem = f"'{wanted}' is no format of these: {', '.join(kinds)}"
        raise ConfigError(where, problem, f"leave it out: the format is {usual} then")
    if output is None:
        return default.with_name(f"{default.name}.{wanted}")
    if ending != wanted:
        raise ConfigError(
            "--output", f"'{output}' does not end in .{wanted}", "give it that ending"
        )
    folder = output.parent.resolve()
    products = any(folder.is_relative_to(Path(top).resolve()) for top in ("results", "figures"))
    if products and FOLDER not in folder.parts:
        problem = f"'{output}' would stand among the workflow's own products"
        mend = f"leave it out, for {default.parent}, or name a place outside of results and figures"
        raise ConfigError("--output", problem, mend)
    return output


def _rows(frame: pd.DataFrame, shown: Shown, what: str, base: str) -> pd.DataFrame:
    """The rows of the chosen methods, in their order; `base`, which gains are over, has none.

    Raises:
        ConfigError: one of them has none.
    """
    bases = [shown.base(method) for method in frame["method"]]
    _require_there(shown, [*dict.fromkeys(bases)], what, base)
    kept = [k for k, method in enumerate(bases) if method in shown.chosen]
    return frame.iloc[sorted(kept, key=lambda k: shown.chosen.index(bases[k]))]


def _choose(table: Table, shown: Shown, name: str) -> tuple[Table, str]:
    """A table with the rows of the chosen methods, which their labels tell, and what is said."""
    known = {shown.label(method): method for method in shown.methods}

    def method_of(row: Sequence[Item]) -> str | None:
        label = row[0].text
        return known.get(label) or known.get(label.rstrip(NUMBERS))

    rows = (row for grid in table.grids for row in grid.rows)
    there = [*dict.fromkeys(filter(None, map(method_of, rows)))]
    _require_there(shown, there, f"the table '{name}'")
    grids = []
    for grid in table.grids:
        of = {method: row for row in grid.rows if (method := method_of(row))}
        body = [of[method] for method in shown.chosen if method in of]
        if body or not of:  # a grid that is not of methods stays
            grids.append(replace(grid, rows=body or grid.rows))
    long, note = table.long, shown.note(there)
    if "method" in long:
        long = long[[not method or shown.shows(method) for method in long["method"]]]
    return replace(table, grids=grids, long=long, notes=[*filter(None, [note]), *table.notes]), note


def _require_there(shown: Shown, there: Collection[str], what: str, base: str = "") -> None:
    for name in shown.chosen:
        if name not in there and (name != base or len(shown.chosen) == 1):
            mend = f"choose among {', '.join(there)}" if there else "leave it out"
            raise ConfigError("--methods", f"{what} has no method '{name}'", mend)
