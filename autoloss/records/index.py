"""The index: one row per run, from the records of a table's cells; a missing run is an error."""

from __future__ import annotations

import math

import pandas as pd

from autoloss.errors import RecordError
from autoloss.metrics import AUC_WEIGHTED, DERIVED, METRICS
from autoloss.records.expected import prepared_hash, why_no_search, why_not
from autoloss.records.schema import Record
from autoloss.records.store import MEND, read_record, read_search
from autoloss.study.cell import Cell
from autoloss.study.study import Study

CELL = ["dataset", "model", "method"]
RUN = [*CELL, "seed"]
WEIGHT = "weight_"  # before a candidate's name: its mean weight in the last epoch
COSTS = (
    *("forward_examples", "backward_examples", "seconds"),
    *("search_trials", "search_epochs"),
    *("search_forward_examples", "search_backward_examples", "search_seconds"),
)


def build_index(study: Study, cells: list[Cell]) -> pd.DataFrame:
    """Runs of `cells` with the study's seeds: identity, metrics, last weights and cost.

    Raises:
        RecordError: a record is missing, damaged or edited, or not of the study's run.
    """
    rows, names = [], dict.fromkeys(cell.dataset for cell in cells)
    data = {(d, k): prepared_hash(study, d, k) for d in names for k in study.prepared_splits}
    for cell in cells:
        cost: dict[str, object] = {}
        if study.searches(cell):
            search = read_search(study.search_file(cell))
            cost = search.cost  # not the record's: an earlier search may have chosen the same
            known = data[cell.dataset, study.split_of(None)]
            if problem := why_no_search(study, cell, search, known):
                raise RecordError(str(study.search_file(cell)), problem, MEND)
        for seed in study.seeds:
            file, split = study.record_file(cell, seed), (cell.dataset, study.split_of(seed))
            record = read_record(file)
            # Where the prepared data are gone, the first record says what data all must be of.
            known = data[split] = data[split] or record.provenance.data_hash
            problem = why_not(study, cell, seed, record, known)
            if problem:
                raise RecordError(str(file), problem, MEND)
            rows.append({**row_of(record), **cost})
    return pd.DataFrame(rows)


def lacks(runs: pd.DataFrame, metric: str) -> bool:
    """Whether runs, some of them ok, are without a derived metric: it could not be fitted."""
    if metric not in DERIVED:
        return False
    return bool((runs["status"] == "ok").any() and runs[metric].isna().all())


def row_of(record: Record) -> dict[str, object]:
    """A run's row."""
    test, weights = record.metrics.get("test", {}), record.weights
    last = weights.mean[-1] if weights.mean else [math.nan] * len(weights.candidates)
    return {
        "dataset": record.dataset,
        "model": record.model,
        "method": record.method,
        "seed": record.seed,
        "split": record.split,
        "test_to_train": record.rows["test"] / record.rows["train"],
        "status": record.status,
        "run_id": record.run_id,
        **{name: test.get(name, math.nan) for name in (*METRICS, AUC_WEIGHTED)},
        **{f"{WEIGHT}{name}": w for name, w in zip(weights.candidates, last, strict=True)},
        "best_epoch": record.budget.best_epoch,
        "epochs": record.budget.epochs,
        "stopped_by_limit": record.budget.stopped_by_limit,
        "steps": record.budget.steps,
        "outer_steps": record.budget.outer_steps,
        **{key: getattr(record.budget, key) for key in COSTS},
        "digest": record.digest,
        "code": record.provenance.code,
        "data_hash": record.provenance.data_hash,
    }
