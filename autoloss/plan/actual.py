"""The plan against what runs took, from their records: by method, and together."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from autoloss.errors import RecordError
from autoloss.plan.training import Training
from autoloss.records.store import read_record, read_search

MEANS = ("epochs", "planned_epochs", "seconds", "planned_seconds")


def compare(training: Training) -> dict[str, Any]:
    """What the runs of `snakemake all` that there are took, beside the plan's guess.

    Without the start of their jobs. `methods` has the means of a method's runs, or searches.
    """
    study, fixed = training.study, training.devices.fixed
    rows, damaged, memory = defaultdict[str, list[tuple[float, ...]]](list), 0, [0.0]
    for cell, cost in training.costs.items():
        search, run = (
            (cost.search_epochs[1], cost.search_seconds[1] - fixed.train_start),
            (cost.run_epochs[1], cost.run_seconds[1] - fixed.run),
        )
        searched = [None] if study.searches(cell) else []
        for seed in (*searched, *study.seeds):
            file = study.search_file(cell) if seed is None else study.record_file(cell, seed)
            if not file.exists():
                continue
            try:
                if seed is None:
                    made = read_search(file)
                    row = (made.epochs, search[0], made.cost["search_seconds"], search[1])
                    rows[f"{cell.method}, search"].append(row)
                else:
                    had = read_record(file).budget
                    rows[cell.method].append((had.epochs, run[0], had.seconds, run[1]))
                    memory.append(had.peak_memory_mb)
            except RecordError:
                damaged += 1
    taken = np.array([row[2:] for own in rows.values() for row in own] or [(0, 0)]).sum(axis=0)
    means = {method: np.mean(own, axis=0).tolist() for method, own in rows.items()}
    return {
        "runs": len(memory) - 1,
        "damaged": damaged,
        "actual_hours": taken[0] / 3600,
        "planned_hours": taken[1] / 3600,
        "peak_memory_gb": round(max(memory) / 1e3, 2),
        "planned_memory_gb": round(max(cost.memory_gb for cost in training.costs.values()), 2),
        "methods": [
            {"method": method, "runs": len(rows[method]), **dict(zip(MEANS, mean, strict=True))}
            for method, mean in means.items()
        ],
    }
