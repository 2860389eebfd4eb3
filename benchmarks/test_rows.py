"""What a split's test rows can show of a difference between two methods, however many seeds.

    python benchmarks/test_rows.py ml100k-ctr ml100k adult

Trains two seeds of each method at the laptop scale, on prepared data, and prints, by metric, the
standard error over test rows of a difference between two methods: of AUC by DeLong's components
(Biometrics 1988; with classes, of their mean), of recalibrated log loss by its rows. Its square is
the covariance of two seeds' rows, what more seeds do not take away; beside it is that of one
seed. Where the data have a user, rows are clustered by it. `standard_errors` of
configs/claims.yaml are from here.
"""

from __future__ import annotations

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.special import softmax
from scipy.stats import rankdata

from autoloss.data.load.prepared import PreparedData
from autoloss.methods.load import load
from autoloss.study.study import Study
from autoloss.training.evaluate import Calibrator, _log_probabilities
from autoloss.training.loop import Trainer

ROOT = Path(__file__).parents[1]
METHODS = ("ce", "kl", "autoloss")
OPTIONS = {"training": {"max_epochs": 4}}


def auc_parts(positive, scores):
    """Each row's influence on the AUC [n]: DeLong's components, over the share of its class."""
    ranks, among = rankdata(scores), np.empty(len(scores))
    for rows in (positive, ~positive):
        among[rows] = rankdata(scores[rows])
    share = np.where(positive, positive.mean(), 1 - positive.mean())
    below = (ranks - among) / (len(scores) * (1 - share))  # share of the other class's rows
    component = np.where(positive, below, 1 - below)
    return (component - component[positive].mean()) / share


def parts(run, task):
    """Per metric the influence of each test row on a run's value [n]."""
    labels, logits = run._predict("test")
    calibrator = Calibrator.fit(task, *run._predict("validation"))
    log_p = _log_probabilities(calibrator._features(logits), calibrator.coefficients)
    scores = logits[:, None] if task.binary else softmax(logits, axis=1)
    classes = [1] if task.binary else range(task.classes)
    columns = [auc_parts(labels == c, scores[:, k]) for k, c in enumerate(classes)]
    return {
        "auc": np.mean(columns, axis=0),
        "logloss_calibrated": -log_p[np.arange(len(labels)), labels],
    }


def standard_error(first, second, clusters):
    """Of a mean of rows [n], which are alike within clusters, from two draws of it."""
    sums = [np.bincount(clusters, d - d.mean()) for d in (first, second)]
    return float(np.sqrt(max(0, np.dot(*sums)))) / len(first)


def errors(dataset):
    """The lines of one data set."""
    study = Study.load(OPTIONS, ROOT)
    data = PreparedData.open(study.prepared_folder(dataset, 0))
    _, labels = data.split("test")
    clusters = data.clusters()
    clusters = np.arange(len(labels)) if clusters is None else clusters
    made = {}
    for name in METHODS:
        runs = [Trainer(study.config, data, "deepfm", load(name), seed) for seed in range(2)]
        made[name] = [run.run() and parts(run, data.task) for run in runs]
    for metric in ("auc", "logloss_calibrated"):
        for a, b in combinations(METHODS, 2):
            d = [x[metric] - y[metric] for x, y in zip(made[a], made[b], strict=True)]
            shared, alone = standard_error(*d, clusters), standard_error(d[0], d[0], clusters)
            where = f"{dataset}, {len(labels)} rows, {metric}, {a} and {b}"
            yield f"{where}: {shared:.5f} ({alone:.5f})"


if __name__ == "__main__":
    for name in sys.argv[1:]:
        for line in errors(name):
            print(line, flush=True)
