"""What the paper prints in its Tables 1 to 3, of its own data: to read ours beside."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from autoloss.metrics import METRICS
from autoloss.models import MODELS
from autoloss.report.frames import parts_of, rows_of
from autoloss.report.published import Cells, Published, load_published
from autoloss.report.runs import label_of
from autoloss.report.table import Grid, Item, Table, number, plain_columns
from autoloss.study.study import Study

TITLE = "The paper's numbers: its Tables 1 to 3, as published"
GROUPS = ()
ORDER = 4
COLUMNS = ["table", "data", "model", "metric", "method", "value"]


def make(study: Study, name: str) -> Table:
    """The data's counts, then a grid per table and data set: methods by model and metric."""
    paper = load_published(study.root)
    long = pd.DataFrame(list(_rows(paper)), columns=COLUMNS)
    tables = parts_of(long[long["method"] != ""], "table", "data")
    grids = [_data(paper), *(_grid(study, place, part) for place, part in tables)]
    return Table(TITLE, grids, list(_notes(study)), long)


def _rows(paper: Published) -> Iterator[tuple[object, ...]]:
    for data, counts in paper.table_1.values.items():
        for name, count in counts.items():
            yield "Table 1", data, "", name, "", count
    tables: dict[str, Cells] = {"Table 2": paper.table_2, "Table 3": paper.table_3}
    for table, cells in tables.items():
        for data, models in cells.values.items():
            for model, metrics in models.items():
                for metric, values in metrics.items():
                    for method, value in values.items():
                        yield table, data, model, metric, method, value


def _data(paper: Published) -> Grid:
    """Table 1: a row per data set."""
    counts = paper.table_1.values
    names = list(dict.fromkeys(name for row in counts.values() for name in row))
    body = [
        [Item(data), *(number(row.get(name)) for name in names)] for data, row in counts.items()
    ]
    columns = plain_columns(*(name.replace("_", " ") for name in names))
    return Grid("Table 1", "data set", columns, body)


def _grid(study: Study, place: tuple[str, str], part: pd.DataFrame) -> Grid:
    columns: dict[tuple[str, str], dict[str, Item]] = {}
    for (model, metric), cells in parts_of(part, "model", "metric"):
        best = cells["value"].max() if METRICS[metric].higher_is_better else cells["value"].min()
        columns[MODELS[model], METRICS[metric].label] = {
            row["method"]: Item(f"{row['value']:.4f}", row["value"], bold=row["value"] == best)
            for row in rows_of(cells)
        }
    body = [
        [Item(label_of(study, method)), *(items[method] for items in columns.values())]
        for method in part["method"].unique()
    ]
    return Grid(", ".join(place), "method", list(columns), body)


def _notes(study: Study) -> Iterator[str]:
    """What these numbers are, and what stands for their data in ours."""
    yield (
        "Without a deviation, and of a number of runs that the paper does not state; the best in "
        "bold. Log loss is as the models predict, not recalibrated."
    )
    specs = [study.dataset(name) for name in study.config.study.datasets]
    if others := [s for s in specs if s.stands_for and not s.is_the_papers]:
        standing = " and ".join(f"{spec.title} for {spec.stands_for}" for spec in others)
        yield (
            f"In our tables {standing} stand{'s' * (len(others) == 1)}: compare the order of the "
            "methods, not the numbers."
        )
