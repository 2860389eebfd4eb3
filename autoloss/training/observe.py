"""What a run is seen to do: which loss it chooses for whom, and how true its probabilities are.

Looking changes nothing: no parameter, no running statistic, no random number of the run.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from torch import Tensor

from autoloss.methods.contract import Method
from autoloss.methods.learned import Parametric
from autoloss.methods.promises import require_observed
from autoloss.records.schema import Choice, Reliability
from autoloss.task import Task
from autoloss.training.evaluate import Array, Labels

BINS = 20  # of equal width, over [0, 1]


def probabilities(task: Task, logits: Array) -> Array:
    """`[n, C]`, from logits `[n]` or `[n, C]`."""
    if task.binary:
        positive = expit(logits)
        return np.stack((1 - positive, positive), axis=1)
    return np.asarray(softmax(logits, axis=1))


def reliability(task: Task, labels: Labels, logits: Array) -> Reliability:
    """Predicted against observed; of two classes only the second, the first being its mirror."""
    columns = slice(1, None) if task.binary else slice(None)
    predicted = probabilities(task, logits)[:, columns].ravel()
    came_true = np.eye(task.classes)[labels][:, columns].ravel()
    bins = _bins(predicted)
    counts = np.bincount(bins, minlength=BINS)

    def mean(values: Array) -> list[float | None]:
        sums = np.bincount(bins, weights=values, minlength=BINS)
        return [float(s / n) if n else None for s, n in zip(sums, counts, strict=True)]

    return Reliability(counts=counts.tolist(), predicted=mean(predicted), observed=mean(came_true))


@torch.no_grad()
def choice(
    method: Method, labels: Labels, logits: Array, t: int, ids: Tensor | None = None
) -> Choice | None:
    """The weights that `method` gives these examples as one batch, if it weighs each by itself.

    Without dropout, with the noise of a draw of its own. `ids` are `[n, F]`.
    """
    if not isinstance(method, Parametric) or method.info.weights != "per example":
        return None
    device = next(method.parameters()).device
    batch = torch.as_tensor(labels, device=device), torch.as_tensor(logits, device=device).float()
    examples = method.examples(ids, *batch)
    was_training = method.training
    method.eval()
    weights = method.weights(examples, method.draw(t, "observed"))
    require_observed(method, weights, labels)
    method.train(was_training)
    task, classes = method.task, method.task.classes
    ease = probabilities(task, logits)[np.arange(len(labels)), labels]
    groups = labels * BINS + _bins(ease)
    counts = np.bincount(groups, minlength=classes * BINS)
    given_weights = weights.double().cpu().numpy()
    largest = np.eye(given_weights.shape[1])[given_weights.argmax(axis=1)]

    def mean(values: Array) -> list[list[list[float]]]:
        sums = np.stack([np.bincount(groups, v, classes * BINS) for v in values.T], axis=1)
        means = (sums / np.maximum(counts, 1)[:, None]).round(6)
        by_class: list[list[list[float]]] = means.reshape(classes, BINS, -1).tolist()
        return by_class

    return Choice(
        counts=counts.reshape(classes, BINS).tolist(),
        weights=mean(given_weights),
        selection=mean(largest),
    )


def _bins(values: Array) -> NDArray[np.int64]:
    return np.minimum((values * BINS).astype(np.int64), BINS - 1)
