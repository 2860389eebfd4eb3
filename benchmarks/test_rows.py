"""What a split's test rows can show of a difference between two methods, however many seeds.

    python benchmarks/test_rows.py ml100k-ctr ml100k adult

Trains two seeds of each method at the laptop scale, on prepared data, and prints, by metric, the
standard error over test rows of a difference between two methods (autoloss/stats/rows.py). Its
square is the covariance of two seeds' rows, what more seeds do not take away; beside it is that of
one seed. Where the data have a user, rows are clustered by it. `standard_errors` of
configs/claims.yaml are from here.
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import numpy as np

from autoloss.data.load.prepared import PreparedData
from autoloss.methods.load import load
from autoloss.stats.rows import PARTS, Predicted, cluster_sums
from autoloss.study.study import Study
from autoloss.training.loop import Trainer

ROOT = Path(__file__).parents[1]
METHODS = ("ce", "kl", "autoloss")
OPTIONS = {"training": {"max_epochs": 4}}


def errors(dataset):
    """The lines of one data set."""
    study = Study.load(OPTIONS, ROOT)
    data = PreparedData.open(study.prepared_folder(dataset, study.splits[0]))
    _, labels = data.split("test")
    clusters = data.clusters()
    made = {}
    for name in METHODS:
        made[name] = []
        for seed in study.seeds[:2]:
            run = Trainer(study.config, data, "deepfm", load(name), seed)
            run.run()
            made[name].append(Predicted.by(labels, run.predictions, clusters, run.calibration))
    for metric, parts in PARTS.items():
        for a, b in combinations(METHODS, 2):
            pairs = zip(made[a], made[b], strict=True)
            first, second = (cluster_sums(parts(x) - parts(y), clusters) for x, y in pairs)
            shared, alone = (np.sqrt(max(0, first @ other)) for other in (second, first))
            where = f"{dataset}, {len(labels)} rows, {metric}, {a} and {b}"
            yield f"{where}: {shared:.5f} ({alone:.5f})"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for line in errors(name):
            print(line, flush=True)
