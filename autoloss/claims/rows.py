"""The standard error over test rows of comparisons, from the predictions that their runs kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from autoloss.claims.verdict import Row
from autoloss.errors import RecordError
from autoloss.records.predictions import read_run
from autoloss.records.store import MEND
from autoloss.stats import Splits
from autoloss.stats.rows import PARTS, Predicted, RowParts, by_split, difference_error
from autoloss.study.cell import Cell
from autoloss.study.study import Study

Kept = Callable[[Cell, int], Predicted]  # a run's predictions, by its cell and seed


def kept_by(study: Study) -> Kept:
    """What a study's runs have kept; it raises as `read_run` does, also where nothing is kept."""

    def kept(cell: Cell, seed: int) -> Predicted:
        if not (file := study.predictions_file(cell, seed)).exists():
            raise RecordError(str(file), "no such file, though its run is there", MEND)
        run = read_run(study, cell, seed)
        return Predicted.by(run.labels, run.logits, run.clusters, run.calibration)

    return kept


def row_errors(
    kept: Kept, asked: Iterable[tuple[Row, Splits]]
) -> dict[tuple[str, ...], float | None]:
    """That of each comparison, by its `compared`, from its runs' splits; of metrics of rows alone.

    None where all rows of a class are one user's. Each run is read once, and what is kept of the
    runs is of one data set and model at a time.
    """
    of_rows = ((row, splits) for row, splits in asked if row.metric in PARTS)
    ordered = sorted(of_rows, key=lambda pair: _place(pair[0]))
    return dict(
        pair
        for place, rows in groupby(ordered, key=lambda pair: _place(pair[0]))
        for pair in _of_place(kept, place, rows)
    )


def _place(row: Row) -> tuple[str, str]:
    return str(row.dataset), row.model


def _of_place(
    kept: Kept, place: tuple[str, str], rows: Iterable[tuple[Row, Splits]]
) -> Iterator[tuple[tuple[str, ...], float | None]]:
    methods: dict[str, dict[int, RowParts]] = {}
    for row, splits in rows:
        for method in {row.ours, row.other} - methods.keys():
            cell = Cell(*place, method)
            seeds = ((split, kept(cell, int(str(seed)))) for seed, split in splits.of.items())
            methods[method] = by_split(seeds)
        pair = methods[row.ours], methods[row.other]
        yield row.compared, difference_error(*pair, row.metric, splits.test_to_train)
