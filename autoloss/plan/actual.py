"""The plan against what runs took, from their records: by method, and together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from autoloss.errors import RecordError
from autoloss.plan.jobs import cells_of
from autoloss.plan.training import Training
from autoloss.records.store import read_record, read_search
from autoloss.strict import Strict
from autoloss.study import Cell


class MethodCost(Strict):
    """Means of a method's runs, or searches: epochs and seconds, as they were and as planned."""

    method: str
    runs: int
    epochs: float
    planned_epochs: float
    seconds: float
    planned_seconds: float


class Actual(Strict):
    """All runs and searches that there are, without the start of their jobs."""

    runs: int
    damaged: int
    actual_hours: float
    planned_hours: float
    peak_memory_gb: float
    planned_memory_gb: float
    methods: tuple[MethodCost, ...]

    @property
    def factor(self) -> float:
        """Time taken over time planned."""
        return self.actual_hours / self.planned_hours if self.planned_hours else 0.0


@dataclass
class _Found:
    """Per method (epochs, planned epochs, seconds, planned seconds) of what there is."""

    rows: dict[str, list[tuple[float, float, float, float]]]
    damaged: int = 0
    peak_mb: float = 0.0
    runs: int = 0


def compare(training: Training) -> Actual:
    """What the runs of `snakemake all` that there are took, beside the plan's."""
    found = _Found(defaultdict(list))
    for cell in cells_of(training.study):
        if training.study.searches(cell):
            _add_search(found, training, cell)
        for seed in range(training.study.config.study.seeds):
            _add_run(found, training, cell, seed)
    return Actual(
        runs=found.runs,
        damaged=found.damaged,
        actual_hours=sum(row[2] for rows in found.rows.values() for row in rows) / 3600,
        planned_hours=sum(row[3] for rows in found.rows.values() for row in rows) / 3600,
        peak_memory_gb=round(found.peak_mb / 1e3, 2),
        planned_memory_gb=round(max(map(training.memory_gb, cells_of(training.study))), 2),
        methods=tuple(_mean(method, rows) for method, rows in found.rows.items()),
    )


def _add_run(found: _Found, training: Training, cell: Cell, seed: int) -> None:
    file = training.study.record_file(cell, seed)
    if not file.exists():
        return
    try:
        budget = read_record(file).budget
    except RecordError:
        found.damaged += 1
        return
    planned = training.run_seconds(cell) - training.devices.fixed.run
    row = (budget.epochs, training.run_epochs(cell), budget.seconds, planned)
    found.rows[cell.method].append(row)
    found.peak_mb = max(found.peak_mb, budget.peak_memory_mb)
    found.runs += 1


def _add_search(found: _Found, training: Training, cell: Cell) -> None:
    file = training.study.search_file(cell)
    if not file.exists():
        return
    try:
        search = read_search(file)
    except RecordError:
        found.damaged += 1
        return
    planned = training.search_seconds(cell) - training.devices.fixed.train_start
    row = (search.epochs, training.search_epochs(cell), search.cost["search_seconds"], planned)
    found.rows[f"{cell.method}, search"].append(row)


def _mean(method: str, rows: Sequence[tuple[float, float, float, float]]) -> MethodCost:
    means = [sum(row[k] for row in rows) / len(rows) for k in range(4)]
    names = ("epochs", "planned_epochs", "seconds", "planned_seconds")
    return MethodCost(method=method, runs=len(rows), **dict(zip(names, means, strict=True)))
