"""The index: one row per run, from the records of a table's cells; a missing run is an error."""

from __future__ import annotations

import math

import pandas as pd

from autoloss.errors import RecordError
from autoloss.metrics import AUC_WEIGHTED, METRICS
from autoloss.records.schema import Record
from autoloss.records.store import read_record
from autoloss.study import Cell, Study

CELL = ["dataset", "model", "method"]
RUN = [*CELL, "seed"]
COSTS = (
    *("forward_examples", "backward_examples", "seconds"),
    *("search_trials", "search_epochs"),
    *("search_forward_examples", "search_backward_examples", "search_seconds"),
)


def build_index(study: Study, cells: list[Cell]) -> pd.DataFrame:
    """Runs of `cells` with seeds 0 .. study.seeds-1: identity, test metrics and cost.

    Raises:
        RecordError: a record is missing, damaged, or not of this configuration.
    """
    rows = []
    for cell in cells:
        for seed in range(study.config.study.seeds):
            record = read_record(study.record_file(cell, seed))
            expected = study.run_id(cell, seed, record.provenance.data_hash)
            if record.run_id != expected:
                raise RecordError(
                    str(study.record_file(cell, seed)),
                    f"is of run {record.run_id}, the configuration asks for {expected}",
                    "run snakemake again: the run is repeated",
                )
            rows.append(_row(record))
    return pd.DataFrame(rows)


def _row(record: Record) -> dict[str, object]:
    test = record.metrics.get("test", {})
    return {
        "dataset": record.dataset,
        "model": record.model,
        "method": record.method,
        "seed": record.seed,
        "status": record.status,
        "run_id": record.run_id,
        **{name: test.get(name, math.nan) for name in (*METRICS, AUC_WEIGHTED)},
        "best_epoch": record.budget.best_epoch,
        "epochs": record.budget.epochs,
        "steps": record.budget.steps,
        "outer_steps": record.budget.outer_steps,
        **{key: getattr(record.budget, key) for key in COSTS},
        "digest": record.digest,
        "code": record.provenance.code,
        "data_hash": record.provenance.data_hash,
    }
