"""Evaluation: AUC and log loss on a split, raw and recalibrated (paper §3.2)."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_expit, log_softmax, softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from autoloss.data.batches import Batches
from autoloss.errors import DataError
from autoloss.task import Task

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


@torch.no_grad()
def predict(model: nn.Module, batches: Batches, device: torch.device) -> tuple[Labels, Array]:
    """Labels `[n]` and logits `[n]` or `[n, C]` (float64) of a split, in stored order."""
    was_training = model.training
    model.eval()
    labels, logits = [], []
    for batch in batches.in_order():
        labels.append(batch.labels.numpy())
        logits.append(model(batch.ids.to(device)).double().cpu().numpy())
    model.train(was_training)
    return np.concatenate(labels), np.concatenate(logits)


def auc(task: Task, labels: Labels, logits: Array) -> float:
    """Area under the ROC curve; with C classes one-vs-rest, macro-averaged."""
    present = np.unique(labels)
    if len(present) < task.classes:
        missing = sorted(set(range(task.classes)) - set(present.tolist()))
        raise DataError(
            "evaluation", f"no example of class {missing[0]}: AUC is undefined", "use more rows"
        )
    if task.binary:
        return float(roc_auc_score(labels, logits))
    return float(roc_auc_score(labels, softmax(logits, axis=1), multi_class="ovr"))


def logloss(task: Task, labels: Labels, logits: Array) -> float:
    """Mean of -log(probability of the true class), from logits: never infinite by rounding."""
    if task.binary:
        return float(-log_expit((2 * labels - 1) * logits).mean())
    true = log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return float(-true.mean())


def recalibrated_logloss(
    task: Task, fit_on: tuple[Labels, Array], labels: Labels, logits: Array
) -> float:
    """Log loss after Platt (binary) or matrix (C-class) scaling fitted on `fit_on`.

    A logistic regression on the logits: it cannot change what a binary model ranks, only the
    probabilities it gives (Guo et al., ICML 2017).
    """
    shape = (-1, task.outputs)
    scaler = make_pipeline(StandardScaler(), LogisticRegression(C=np.inf, max_iter=1000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near enough is enough
        scaler.fit(fit_on[1].reshape(shape), fit_on[0])
    probabilities = scaler.predict_proba(logits.reshape(shape))
    true = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.clip(true, 1e-15, 1)).mean())


def judge(task: Task, labels: Labels, logits: Array) -> dict[str, float]:
    """AUC and raw log loss of a split."""
    return {"auc": auc(task, labels, logits), "logloss": logloss(task, labels, logits)}
