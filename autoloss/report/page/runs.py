"""The report's grids of runs: the runs of every cell, what they cost, and those that failed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from autoloss.metrics import METRICS
from autoloss.models import MODELS
from autoloss.records.index import CELL
from autoloss.records.schema import Record
from autoloss.report.frames import cell_of, rows_of
from autoloss.report.runs import Runs, label_of
from autoloss.report.table import Grid, Item, number, plain_columns, runs_of
from autoloss.study.cell import Cell
from autoloss.study.study import Study

COLUMNS = [
    *plain_columns("run", "status"),
    *(("test", metric.label) for metric in METRICS.values()),
    *plain_columns("best epoch", "seconds"),
]


def relative(study: Study, file: Path) -> str:
    """A link from the report to a file."""
    return quote(Path(os.path.relpath(file, study.results)).as_posix())


def run_grids(runs: Runs) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Per data set and model a title, and per cell its anchor, label and runs."""
    study, cells = runs.study, runs.cells()
    for (dataset, model), together in groupby(cells, key=lambda cell: (cell.dataset, cell.model)):
        title = f"{study.dataset(dataset).title}, {MODELS.get(model, model)}"
        grids = []
        for cell in together:
            label = label_of(study, cell.method)
            body = [_run(study, cell, row) for row in cells[cell]]
            grid = Grid(f"{title}, {label}", "seed", COLUMNS, body)
            grids.append({"id": runs_of(cell)[1:], "label": label, "grid": grid})
        yield title, grids


def _run(study: Study, cell: Cell, row: Mapping[str, Any]) -> list[Item]:
    """A run, which leads to its record."""
    record = relative(study, study.record_file(cell, row["seed"]))
    return [
        Item(str(row["seed"])),
        Item(row["run_id"], href=record),
        Item(row["status"], mark="failed" if row["status"] == "failed" else ""),
        *(number(row[metric]) for metric in METRICS),
        number(row["best_epoch"]),
        number(float(row["seconds"]), 1),
    ]


def budget_grid(budgets: pd.DataFrame, caption: str) -> Grid:
    """What each cell's runs cost, in the budget file's own columns."""
    shown = [name for name in budgets.columns if name not in CELL]
    body = [
        [
            Item(str(cell_of(row)), href=runs_of(cell_of(row))),
            *(number(row[name], 1) for name in shown),
        ]
        for row in rows_of(budgets)
    ]
    columns = plain_columns(*(name.replace("_", " ") for name in shown))
    return Grid(caption, "cell", columns, body)


def failed_grid(study: Study, records: Mapping[str, Record]) -> Grid | None:
    """The failed runs and why; None where none failed."""
    body = []
    for record in records.values():
        if record.failure is not None:
            cell = Cell(record.dataset, record.model, record.method)
            file = relative(study, study.record_file(cell, record.seed))
            body.append(
                [
                    Item(str(cell), href=runs_of(cell)),
                    Item(str(record.seed), record.seed),
                    Item(record.run_id, href=file),
                    Item(record.failure.kind),
                    Item(record.failure.message),
                ]
            )
    columns = plain_columns("seed", "run", "kind", "message")
    return Grid("", "cell", columns, body, words=True) if body else None
