"""Evaluation: AUC and log loss on a split, raw and recalibrated (paper §3.2).

The metrics are scikit-learn's (tests compare), in a fraction of its time and without its import.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_expit, log_softmax, softmax
from torch import nn

from autoloss.data.load.batches import Batches
from autoloss.errors import DataError
from autoloss.metrics import AUC_WEIGHTED
from autoloss.task import Task

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


@torch.no_grad()
def predict(
    model: nn.Module,
    batches: Batches,
    device: torch.device,
    at: Callable[[int], None] = lambda step: None,
) -> tuple[Labels, Array]:
    """Labels `[n]` and logits `[n]` or `[n, C]` (float64) of a split, in stored order.

    `at` is told how many batches are done.
    """
    was_training = model.training
    model.eval()
    labels, logits = [], []
    for step, batch in enumerate(batches.in_order(), 1):
        labels.append(batch.labels.numpy())
        logits.append(model(batch.ids.to(device)).double().cpu().numpy())
        at(step)
    model.train(was_training)
    return np.concatenate(labels), np.concatenate(logits)


def require_every_class(task: Task, labels: NDArray[np.integer]) -> None:
    """Raises DataError if there is no example of a class: AUC needs them."""
    present = np.unique(labels)
    if len(present) < task.classes:
        missing = sorted(set(range(task.classes)) - set(present.tolist()))
        raise DataError(
            "evaluation", f"no example of class {missing[0]}: AUC is undefined", "use more rows"
        )


def auc(task: Task, labels: Labels, logits: Array, *, weighted: bool = False) -> float:
    """Area under the ROC curve; with C classes one-vs-rest, macro-averaged, or by their shares."""
    require_every_class(task, labels)
    if task.binary:
        return _auc(labels == 1, logits)
    probabilities = softmax(logits, axis=1)
    one_vs_rest = [_auc(labels == c, probabilities[:, c]) for c in range(task.classes)]
    return float(np.average(one_vs_rest, weights=np.bincount(labels) if weighted else None))


def _auc(positive: NDArray[np.bool_], scores: Array) -> float:
    """Mann and Whitney's U over the number of pairs: the share ranked right, ties as a half."""
    low, high = np.sort(scores[~positive]), np.sort(scores[positive])
    below = np.searchsorted(low, high, "left").sum() + np.searchsorted(low, high, "right").sum()
    return float(below / 2 / (len(low) * len(high)))


def logloss(task: Task, labels: Labels, logits: Array) -> float:
    """Mean of -log(probability of the true class), from logits: never infinite by rounding."""
    if task.binary:
        return float(-log_expit((2 * labels - 1) * logits).mean())
    true = log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return float(-true.mean())


@dataclass(frozen=True)
class Calibrator:
    """Platt (binary) or matrix (C-class) scaling: a logistic regression on whitened logits.

    It cannot change what a binary model ranks, only the probabilities it gives (Guo et al., ICML
    2017). `coefficients` are `[outputs + 1, C-1]`, the intercept last, class 0 being the reference.
    """

    mean: Array
    whitening: Array  # to uncorrelated columns of variance 1: a fifth of the steps of fitting
    coefficients: Array

    @classmethod
    def fit(cls, task: Task, labels: Labels, logits: Array) -> Calibrator:
        """Maximum likelihood; for logits that separate the classes, as near as L-BFGS gets."""
        columns = logits.reshape(-1, task.outputs)
        mean = columns.mean(axis=0)
        start = cls(
            mean, _whitening(columns - mean), np.zeros((task.outputs + 1, task.classes - 1))
        )
        x, hits = start._features(logits), np.eye(task.classes)[labels]

        # No dot, vdot or matmul here: the last bits of BLAS depend on its number of threads.
        def loss(flat: Array) -> tuple[float, Array]:
            log_p = _log_probabilities(x, flat.reshape(start.coefficients.shape))
            gradient = np.einsum("ni,nj->ij", x, (np.exp(log_p) - hits)[:, 1:]) / len(x)
            return -float((hits * log_p).sum()) / len(x), gradient.ravel()

        optimum = minimize(
            loss,
            start.coefficients.ravel(),
            jac=True,
            method="L-BFGS-B",
            options={"gtol": 1e-7, "ftol": 1e-14, "maxiter": 1000},
        )
        return replace(start, coefficients=optimum.x.reshape(start.coefficients.shape))

    @property
    def affine(self) -> Array:
        """`[outputs + 1, C-1]`: logits, a column of ones last, times it are log odds to class 0."""
        slopes = np.einsum("ij,jk->ik", self.whitening, self.coefficients[:-1])
        intercept = self.coefficients[-1] - np.einsum("i,ij->j", self.mean, slopes)
        return np.vstack((slopes, intercept))

    def logloss(self, labels: Labels, logits: Array) -> float:
        """Mean of -log(probability of the true class) after scaling."""
        log_p = _log_probabilities(self._features(logits), self.coefficients)
        return -float(log_p[np.arange(len(labels)), labels].clip(min=math.log(1e-15)).mean())

    def _features(self, logits: Array) -> Array:
        columns = logits.reshape(-1, len(self.mean))
        white = np.einsum("ni,ij->nj", columns - self.mean, self.whitening)
        return np.column_stack((white, np.ones(len(columns))))


def _whitening(centred: Array) -> Array:
    """`[k, k]`, which makes columns `[n, k]` uncorrelated; constant ones and copies become 0."""
    values, vectors = np.linalg.eigh(np.einsum("ni,nj->ij", centred, centred) / len(centred))
    varies = values > 1e-12 * values.max()
    return np.asarray(vectors * np.where(varies, 1 / np.sqrt(np.where(varies, values, 1)), 0))


def _log_probabilities(x: Array, coefficients: Array) -> Array:
    """`[n, C]`, without BLAS."""
    scores = np.einsum("ni,ij->nj", x, coefficients)
    return np.asarray(log_softmax(np.column_stack((np.zeros(len(scores)), scores)), axis=1))


def judge(task: Task, labels: Labels, logits: Array) -> dict[str, float]:
    """AUC and raw log loss of a split."""
    return {"auc": auc(task, labels, logits), "logloss": logloss(task, labels, logits)}


def judge_fully(
    task: Task, calibrator: Calibrator | None, labels: Labels, logits: Array
) -> dict[str, float]:
    """All that a record keeps of a split; without a calibrator no recalibrated log loss."""
    metrics = judge(task, labels, logits)
    if calibrator is not None:
        metrics["logloss_calibrated"] = calibrator.logloss(labels, logits)
    if not task.binary:
        metrics[AUC_WEIGHTED] = auc(task, labels, logits, weighted=True)
    return metrics
