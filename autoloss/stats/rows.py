"""What a difference between two runs owes to the test rows that they were judged by.

More seeds take away what initialisation and batches add; the rows of the test split stay. The
standard error over rows is of a paired difference, of AUC by DeLong's components (Biometrics 44,
1988), of recalibrated log loss by the rows' losses. Rows of one user are alike, so they count as
clusters: of AUC as Obuchowski has it (Biometrics 53, 1997), of a mean as usual for clusters.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax  # type: ignore[import-untyped]

Array = NDArray[np.float64]
Labels = NDArray[np.integer[Any]]

LEAST = 1e-15  # probability that a recalibrated log loss counts with, as autoloss.training.evaluate


@dataclass(frozen=True)
class Predicted:
    """A run's predictions of the n rows that it was tested on."""

    labels: Labels
    """The true classes [n]."""
    scores: Array
    """What AUC ranks by: of class 1 against class 0 [n], or of each class against the rest
    [n, C]."""
    losses: Array | None
    """-log of the recalibrated probability of the true class [n]; None where there is none."""
    clusters: Labels | None
    """Which user each row is of [n]; None where the data have none: each row is a cluster."""

    @classmethod
    def by(
        cls,
        labels: Labels,
        logits: NDArray[np.floating[Any]],
        clusters: Labels | None = None,
        recalibration: Array | None = None,
    ) -> Predicted:
        """From a model's logits, `[n]` of two classes or `[n, C]` of more.

        `recalibration` `[outputs + 1, C - 1]` takes logits and a 1 to recalibrated log odds against
        class 0; without it there are no recalibrated losses.
        """
        columns = np.asarray(logits, dtype=np.float64).reshape(len(labels), -1)
        scores = columns[:, 0] if columns.shape[1] == 1 else softmax(columns, axis=1)
        losses = None
        if recalibration is not None:
            odds = columns @ recalibration[:-1] + recalibration[-1]
            log_p = log_softmax(np.column_stack((np.zeros(len(odds)), odds)), axis=1)
            losses = -log_p[np.arange(len(labels)), labels].clip(min=np.log(LEAST))
        return cls(np.asarray(labels), scores, losses, clusters)


@dataclass(frozen=True)
class RowParts:
    """What the runs of one method on one split owe to its n test rows."""

    labels: Labels
    clusters: Labels | None
    sums: dict[str, Array]
    """By metric each cluster's part in the deviation of the seeds' mean, in order of clusters;
    without a metric that a run lacks."""


def by_split(runs: Iterable[tuple[int, Predicted]]) -> dict[int, RowParts]:
    """By split what a method's runs, each with the number of its split, owe to the test rows.

    Raises:
        ValueError: two runs of a split are not of the same rows.
    """
    found: dict[int, RowParts] = {}
    seeds = Counter[int]()
    for split, run in runs:
        of_rows = {metric: part for metric, of in PARTS.items() if (part := of(run)) is not None}
        sums = {metric: cluster_sums(part, run.clusters) for metric, part in of_rows.items()}
        before = found.setdefault(split, RowParts(run.labels, run.clusters, sums))
        _check_rows(split, before, run)
        seeds[split] += 1
        means = {
            metric: before.sums[metric] + (sums[metric] - before.sums[metric]) / seeds[split]
            for metric in sums
            if metric in before.sums
        }
        found[split] = replace(before, sums=means)
    return found


def difference_error(
    ours: Mapping[int, RowParts],
    other: Mapping[int, RowParts],
    metric: str,
    test_to_train: float = 0.0,
) -> float | None:
    """The standard error over test rows of the mean difference between two methods.

    With one split that of the seeds' mean. Over n splits the root mean square of each one's, times
    sqrt(1/n + rho), as the interval of a gain has the overlap of splits
    (`autoloss.stats.compare`): users and rows recur in them, so less than by sqrt(n) averages out.

    Args:
        ours, other: `by_split` of both methods' runs.
        metric: `auc` or `logloss_calibrated`.
        test_to_train: rho, test rows for each training row, where there are several splits.

    Returns:
        None where a run lacks what the metric takes, or all rows (of a class) are one cluster.

    Raises:
        ValueError: the runs are not of the same splits and rows.
    """
    if ours.keys() != other.keys():
        raise ValueError(f"runs of splits {sorted(ours)} and {sorted(other)} are no pairs")
    squares = []
    for split, parts in ours.items():
        beside = other[split]
        _check_rows(split, parts, beside)
        if metric not in parts.sums or metric not in beside.sums:
            return None
        squares.append(np.square(parts.sums[metric] - beside.sums[metric]).sum())
    error = float(np.sqrt(np.mean(squares) * (1 / len(squares) + test_to_train)))
    return error if np.isfinite(error) else None


def cluster_sums(parts: Array, clusters: Labels | None) -> Array:
    """The sum of each cluster's rows, in the order of clusters; each row's own without any."""
    if clusters is None:
        return parts
    return np.asarray(np.bincount(np.unique(clusters, return_inverse=True)[1], parts))


def auc_parts(run: Predicted) -> Array:
    """Each row's part [n] in the deviation of AUC; with C classes that of one-vs-rest's mean.

    DeLong's components less their mean, over the number of rows of the same side, with the divisor
    n - 1 of an unbiased variance, n being the clusters that have such rows.
    """
    if run.scores.ndim == 1:
        return _one_auc(run.labels == 1, run.scores, run.clusters)
    classes = enumerate(run.scores.T)
    parts = [_one_auc(run.labels == c, scores, run.clusters) for c, scores in classes]
    return np.asarray(np.mean(parts, axis=0))


def _one_auc(positive: NDArray[np.bool_], scores: Array, clusters: Labels | None) -> Array:
    parts = np.empty(len(scores))
    for side, sign in ((positive, 1), (~positive, -1)):
        own, other = sign * scores[side], np.sort(sign * scores[~side])
        below = np.searchsorted(other, own, "left") + np.searchsorted(other, own, "right")
        of_side = None if clusters is None else clusters[side]
        parts[side] = mean_parts(below / 2 / len(other), of_side)
    return parts


def loss_parts(run: Predicted) -> Array | None:
    """Each row's part [n] in the deviation of the mean recalibrated log loss."""
    return None if run.losses is None else mean_parts(run.losses, run.clusters)


def mean_parts(values: Array, clusters: Labels | None) -> Array:
    """Each value's part [n] in the deviation of their mean; with unbiased divisors."""
    count = len(values if clusters is None else np.unique(clusters))
    divisor = np.sqrt(1 - 1 / count) if count > 1 else np.nan
    return np.asarray((values - values.mean()) / len(values) / divisor)


PARTS: dict[str, Callable[[Predicted], Array | None]] = {
    "auc": auc_parts,
    "logloss_calibrated": loss_parts,
}


def _check_rows(split: int, one: Predicted | RowParts, other: Predicted | RowParts) -> None:
    if one.clusters is None or other.clusters is None:
        alike = one.clusters is other.clusters
    else:
        alike = np.array_equal(one.clusters, other.clusters)
    if not (alike and np.array_equal(one.labels, other.labels)):
        raise ValueError(f"runs of split {split} are not of the same test rows")
