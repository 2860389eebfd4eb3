"""Whether deferred Adam trains as dense Adam does: `python benchmarks/equivalence.py ce autoloss`.

Both train the same seeds at the laptop scale, on prepared data. Two floating-point orders of one
computation drift apart, so weights can't be compared, and the question is of equivalence: is the
90 % interval of the paired difference in test AUC (two one-sided t tests at 5 %) within a margin?
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import stats

from autoloss.data.load.prepared import PreparedData
from autoloss.methods.load import load
from autoloss.study.study import Study
from autoloss.training.loop import Trainer

ROOT = Path(__file__).parents[1]
DATASET, MODEL, SEEDS, MARGIN = "ml100k-ctr", "deepfm", 40, 0.0005


def outcome(method: str, seed: int, updates: str) -> tuple[float, list[float]]:
    """Test AUC, and validation AUC by epoch."""
    study = Study.load({"training": {"table_updates": updates}}, ROOT)
    data = PreparedData.open(study.prepared_folder(DATASET, 0))
    run = Trainer(study.config, data, MODEL, load(method), seed)
    return run.run()["test"]["auc"], [curve["auc"] for curve in run.progress.curves]


def compare(method: str) -> str:
    """A line of the answer."""
    pairs = [[outcome(method, seed, how) for how in ("dense", "deferred")] for seed in range(SEEDS)]
    differences = np.array([after[0] - before[0] for before, after in pairs])
    error = differences.std(ddof=1) / len(differences) ** 0.5
    low, high = stats.t.interval(0.9, len(differences) - 1, differences.mean(), error)
    curves = np.mean([np.subtract(after[1], before[1]) for before, after in pairs], axis=0)
    verdict = "equivalent" if max(-low, high) < MARGIN else "not shown to be equivalent"
    return (
        f"{method}: test AUC {differences.mean():+.5f} [{low:+.5f}, {high:+.5f}], {verdict} within "
        f"{MARGIN}; validation AUC by epoch " + ", ".join(f"{x:+.5f}" for x in curves)
    )


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(compare(name))
