"""The budget audit: what the runs of each cell cost, against what they may.

Equal means: no run trains more epochs than `training.max_epochs` (twice that where the method says
that it refits), and no cell's search more than `tuning.trials` times that; a method that searches
nothing has no search.
"""

from __future__ import annotations

import pandas as pd

from autoloss.errors import RecordError
from autoloss.records.index import CELL
from autoloss.report.frames import cell_of, rows_of
from autoloss.study.cell import Cell
from autoloss.study.study import Study

MEASURED = ("epochs", "search_epochs")
MEND = (
    "a search trains through lab.train only; give more to all by tuning.trials or "
    "training.max_epochs"
)


def budget_table(study: Study, index: pd.DataFrame) -> pd.DataFrame:
    """One row per cell: its largest and its mean costs over seeds, and its limits in epochs.

    `stopped_by_limit` counts its runs that were out of epochs before they were out of patience:
    longer ones might have been better.
    """
    cells = index.groupby(CELL, sort=False)
    table = cells.agg(
        runs=("seed", "count"),
        epochs=("epochs", "max"),
        stopped_by_limit=("stopped_by_limit", "sum"),
        search_trials=("search_trials", "max"),
        search_epochs=("search_epochs", "max"),
        steps=("steps", "mean"),
        outer_steps=("outer_steps", "mean"),
        seconds=("seconds", "mean"),
        search_seconds=("search_seconds", "max"),
    ).reset_index()
    names = [cell_of(row) for row in rows_of(table)]
    table["epochs_allowed"] = [study.epoch_budget(cell.method) for cell in names]
    table["search_epochs_allowed"] = [study.search_budget(cell) for cell in names]
    return table


def over_budget(table: pd.DataFrame) -> list[tuple[Cell, str]]:
    """Each cell in which a method had more than it may, and what it had and may have."""
    over = []
    for measure in MEASURED:
        what = "in its search" if measure == "search_epochs" else "in a run"
        for row in rows_of(table[table[measure] > table[f"{measure}_allowed"]]):
            allowed = row[f"{measure}_allowed"]
            problem = f"trained {row[measure]} epochs {what}, {allowed} are allowed"
            over.append((cell_of(row), problem))
    return over


def check_budget(table: pd.DataFrame) -> None:
    """Refuse a table in which a method had more than it may.

    Raises:
        RecordError: naming the first such cell, what it had and what it may have.
    """
    for cell, problem in over_budget(table):
        raise RecordError(str(cell), problem, MEND)
