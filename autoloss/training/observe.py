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
EACH = 2**17  # examples weighed at once: hidden layers of millions are gigabytes


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
def observed(
    method: Method, ids: Tensor | None, labels: Tensor, logits: Tensor, t: int
) -> Tensor | None:
    """The weights `[n, L]` that `method` gives these examples, if it weighs each by itself.

    Without dropout, with the noise of a draw of its own, the same in every `EACH` examples. `ids`
    are `[n, F]`, logits `[n]` or `[n, C]`.
    """
    if not isinstance(method, Parametric) or method.info.weights != "per example":
        return None
    like = next(method.parameters())
    was_training = method.training
    method.eval()
    weights = []
    for begin in range(0, len(labels), EACH):
        at = slice(begin, begin + EACH)
        given = None if ids is None else ids[at]
        examples = method.examples(given, labels[at].to(like.device), logits[at].to(like))
        weights.append(method.weights(examples, method.draw(t, "observed")))
    method.train(was_training)
    return torch.cat(weights)


def choice(
    method: Method, labels: Labels, logits: Array, t: int, ids: Tensor | None = None
) -> Choice | None:
    """What `method` chooses for these examples, by label and ease; None as `observed`."""
    weights = observed(method, ids, torch.as_tensor(labels), torch.as_tensor(logits), t)
    if weights is None:
        return None
    require_observed(method, weights, labels)
    task, classes = method.task, method.task.classes
    ease = probabilities(task, logits)[np.arange(len(labels)), labels]
    groups = labels * BINS + _bins(ease)
    given_weights = weights.double().cpu().numpy()
    largest = np.eye(given_weights.shape[1])[given_weights.argmax(axis=1)]
    columns = np.column_stack((np.ones(len(labels)), given_weights, largest))
    sums = [np.bincount(groups, column, classes * BINS) for column in columns.T]
    return choice_of(task, np.stack(sums, axis=1))


def choice_of(task: Task, sums: Array) -> Choice:
    """From counts and sums of weights and of selections, `[C bins, 1 + 2n]`."""
    counts, *each = np.split(sums, [1, 1 + sums.shape[1] // 2], axis=1)
    shape = task.classes, BINS, -1
    weights, selection = ((part / np.maximum(counts, 1)).round(6) for part in each)
    return Choice(
        counts=counts.astype(np.int64).reshape(task.classes, BINS).tolist(),
        weights=weights.reshape(shape).tolist(),
        selection=selection.reshape(shape).tolist(),
    )


def _bins(values: Array) -> NDArray[np.int64]:
    return np.minimum((values * BINS).astype(np.int64), BINS - 1)
