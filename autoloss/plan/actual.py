"""The plan against what runs took, from their records: by method, and together."""

from __future__ import annotations

from collections import defaultdict

from autoloss.errors import RecordError
from autoloss.plan.jobs import cells_of
from autoloss.plan.training import Training
from autoloss.records.store import read_record
from autoloss.strict import Strict


class MethodCost(Strict):
    """Means of a method's runs: epochs and seconds, as they were and as planned."""

    method: str
    runs: int
    epochs: float
    planned_epochs: float
    seconds: float
    planned_seconds: float


class Actual(Strict):
    """All runs that there are, without their searches and the start of their jobs."""

    runs: int
    damaged: int
    actual_hours: float
    planned_hours: float
    methods: tuple[MethodCost, ...]

    @property
    def factor(self) -> float:
        """Time taken over time planned."""
        return self.actual_hours / self.planned_hours if self.planned_hours else 0.0


def compare(training: Training) -> Actual:
    """What the runs of `snakemake all` that there are took, beside the plan's."""
    study, damaged = training.study, 0
    found: dict[str, list[tuple[float, float, float, float]]] = defaultdict(list)
    start = training.devices.fixed.run
    for cell in cells_of(study):
        for seed in range(study.config.study.seeds):
            file = study.record_file(cell, seed)
            if not file.exists():
                continue
            try:
                budget = read_record(file).budget
            except RecordError:
                damaged += 1
                continue
            planned = training.run_epochs(cell), training.run_seconds(cell) - start
            found[cell.method].append((budget.epochs, planned[0], budget.seconds, planned[1]))
    rows = [
        MethodCost(
            method=method,
            runs=len(runs),
            **{
                key: sum(run[k] for run in runs) / len(runs)
                for k, key in enumerate(("epochs", "planned_epochs", "seconds", "planned_seconds"))
            },
        )
        for method, runs in found.items()
    ]
    return Actual(
        runs=sum(row.runs for row in rows),
        damaged=damaged,
        actual_hours=sum(row.runs * row.seconds for row in rows) / 3600,
        planned_hours=sum(row.runs * row.planned_seconds for row in rows) / 3600,
        methods=tuple(rows),
    )
