"""Standard errors over test rows: plain loops, a jackknife, and worlds whose truth is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss, roc_auc_score

from autoloss.metrics import AUC_WEIGHTED
from autoloss.stats.rows import (
    PARTS,
    Predicted,
    auc_parts,
    by_split,
    cluster_sums,
    difference_error,
)

AUC, LOSS = "auc", "logloss_calibrated"


def run(labels, logits, clusters=None):
    """Predictions from logits [n] or [n, C], taken for calibrated."""
    labels, logits = np.asarray(labels), np.asarray(logits, dtype=float)
    both = np.column_stack((np.zeros(len(labels)), logits)) if logits.ndim == 1 else logits
    p = softmax(both, axis=1)
    losses = -np.log(p[np.arange(len(labels)), labels])
    return Predicted(labels, logits if logits.ndim == 1 else p, losses, clusters)


def value(rows, metric):
    """The metric of some rows, by scikit-learn."""
    if metric == LOSS:
        return rows.losses.mean()
    options = {} if rows.scores.ndim == 1 else {"multi_class": "ovr", "average": "macro"}
    return roc_auc_score(rows.labels, rows.scores, **options)


def pair_of(rng, classes, sizes):
    """Two runs that agree in part, on clusters of these sizes whose rows are alike."""
    clusters = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    shape = (len(clusters),) if classes == 2 else (len(clusters), classes)
    own = rng.normal(size=(len(sizes), *shape[1:]))[clusters]
    latent = rng.normal(size=shape) + own
    labels = (latent > 0).astype(int) if classes == 2 else latent.argmax(axis=1)
    logits = [
        0.5 * latent + rng.normal(size=(len(sizes), *shape[1:]))[clusters] + rng.normal(size=shape)
        for _ in range(2)
    ]
    return [run(labels, one, clusters) for one in logits]


def error(pairs, metric, test_to_train=0.0):
    """Of pairs of runs, each with its split."""
    ours = by_split((split, run) for split, run, _ in pairs)
    other = by_split((split, run) for split, _, run in pairs)
    return difference_error(ours, other, metric, test_to_train)


def without(rows, keep):
    return Predicted(
        *(part[keep] for part in (rows.labels, rows.scores, rows.losses, rows.clusters))
    )


# --- against independent calculations -------------------------------------------------------------


def delong_by_loops(labels, first, second):
    """DeLong's variance of a difference, as the paper has it: every pair of rows is looked at."""
    ones, zeros = [i for i, y in enumerate(labels) if y], [i for i, y in enumerate(labels) if not y]

    def beats(x, y):
        return 1.0 if x > y else 0.5 if x == y else 0.0

    tens = [
        [sum(beats(s[i], s[j]) for j in zeros) / len(zeros) for i in ones] for s in (first, second)
    ]
    ends = [
        [sum(beats(s[i], s[j]) for i in ones) / len(ones) for j in zeros] for s in (first, second)
    ]
    covariances = np.cov(tens) / len(ones) + np.cov(ends) / len(zeros)
    return covariances[0, 0] + covariances[1, 1] - 2 * covariances[0, 1]


@pytest.mark.parametrize("digits", [9, 0])
def test_of_auc_without_clusters_it_is_delongs(digits):
    """With many ties, too, in the second case."""
    rng = np.random.default_rng(digits)
    labels = np.r_[[0, 1], rng.random(70) < 0.3].astype(int)
    scores = [(rng.normal(size=72) + labels).round(digits) for _ in range(2)]
    found = error([(0, *(run(labels, s) for s in scores))], AUC)
    assert found == pytest.approx(np.sqrt(delong_by_loops(labels, *scores)), rel=1e-12)


def test_of_log_loss_without_clusters_it_is_that_of_a_mean():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 5, 50)
    ours, other = (run(labels, rng.normal(size=(50, 5))) for _ in range(2))
    assert ours.losses.mean() == pytest.approx(log_loss(labels, ours.scores))
    d = ours.losses - other.losses
    assert error([(0, ours, other)], LOSS) == pytest.approx(d.std(ddof=1) / np.sqrt(50))


@pytest.mark.parametrize("metric", [AUC, LOSS])
@pytest.mark.parametrize("classes", [2, 5])
def test_clustered_it_is_that_of_a_jackknife_that_leaves_out_each_cluster(classes, metric):
    rng = np.random.default_rng(classes)
    sizes = rng.integers(2, 15, 150)
    ours, other = pair_of(rng, classes, sizes)
    left = [
        value(without(ours, keep), metric) - value(without(other, keep), metric)
        for keep in (ours.clusters != k for k in range(len(sizes)))
    ]
    jackknife = np.sqrt((len(sizes) - 1) ** 2 / len(sizes) * np.var(left, ddof=1))
    assert error([(0, ours, other)], metric) == pytest.approx(jackknife, rel=0.03)


def test_parts_of_five_classes_are_the_mean_of_one_against_the_rest():
    ours, _ = pair_of(np.random.default_rng(0), 5, [3] * 40)
    alone = [
        auc_parts(Predicted((ours.labels == c).astype(int), p, None, ours.clusters))
        for c, p in enumerate(ours.scores.T)
    ]
    np.testing.assert_allclose(auc_parts(ours), np.mean(alone, axis=0))
    assert AUC_WEIGHTED not in PARTS


# --- pairs, seeds and splits ------------------------------------------------------------------


@pytest.mark.parametrize("metric", [AUC, LOSS])
def test_a_run_does_not_differ_from_itself_and_order_and_names_do_not_matter(metric):
    rng = np.random.default_rng(2)
    ours, other = pair_of(rng, 2, [4] * 30)
    assert error([(0, ours, ours)], metric) == 0
    usual = error([(0, ours, other)], metric)
    assert error([(0, other, ours)], metric) == pytest.approx(usual)
    order = rng.permutation(len(ours.labels))
    moved = [without(one, order) for one in (ours, other)]
    named = [Predicted(m.labels, m.scores, m.losses, 7 * m.clusters - 3) for m in moved]
    assert error([(0, *named)], metric) == pytest.approx(usual)


@pytest.mark.parametrize("rho", [0.0, 0.125])
def test_seeds_of_a_split_are_averaged_and_splits_as_the_interval_of_a_gain_has_them(rho):
    rng = np.random.default_rng(3)
    (a, b), (c, d) = (pair_of(rng, 2, [4] * 30) for _ in range(2))
    first, second = (error([(0, *pair)], LOSS) for pair in ((a, b), (c, d)))
    both = error([(0, a, b), (1, c, d)], LOSS, rho)
    assert both == pytest.approx(np.sqrt((first**2 + second**2) / 2 * (1 / 2 + rho)))
    assert error([(0, a, b), (1, c, d), (0, a, b)], LOSS, rho) == pytest.approx(both)
    assert error([(0, a, b), (0, a, b), (0, a, b)], LOSS) == pytest.approx(first)
    losses = (a.losses - b.losses, b.losses - a.losses + 0.1)  # two seeds that cancel but for .05
    again = [run(a.labels, a.scores, a.clusters) for _ in range(2)]
    twice = [
        Predicted(r.labels, r.scores, x, r.clusters) for r, x in zip(again, losses, strict=True)
    ]
    none = Predicted(a.labels, a.scores, np.zeros(len(a.labels)), a.clusters)
    assert error([(0, x, none) for x in twice], LOSS) == pytest.approx(0, abs=1e-12)


def test_it_is_by_the_rows_that_there_are():
    """Of users that are like each other: of a quarter of them twice the error."""
    ours, other = pair_of(np.random.default_rng(7), 2, [3] * 4000)
    for metric in PARTS:
        all_rows = error([(0, ours, other)], metric)
        some = [without(one, one.clusters < 1000) for one in (ours, other)]
        assert error([(0, *some)], metric) == pytest.approx(2 * all_rows, rel=0.1)


def test_other_rows_are_refused_and_what_is_lacking_is_none():
    ours, other = pair_of(np.random.default_rng(4), 2, [4] * 30)
    turned = Predicted(1 - other.labels, other.scores, other.losses, other.clusters)
    others = Predicted(other.labels, other.scores, other.losses, other.clusters[::-1])
    bare = Predicted(other.labels, other.scores, None, None)
    for wrong in (turned, others, bare):
        with pytest.raises(ValueError, match="split 3 are not of the same test rows"):
            error([(3, ours, wrong)], AUC)
        with pytest.raises(ValueError, match="split 3 are not of the same test rows"):
            by_split([(3, ours), (3, wrong)])
    with pytest.raises(ValueError, match=r"splits \[3\] and \[4\] are no pairs"):
        difference_error(by_split([(3, ours)]), by_split([(4, other)]), AUC)
    lacking = Predicted(other.labels, other.scores, None, other.clusters)
    assert error([(0, ours, lacking)], LOSS) is None
    assert error([(0, ours, lacking)], AUC) > 0
    one = [Predicted(r.labels, r.scores, r.losses, 0 * r.clusters) for r in (ours, other)]
    assert error([(0, *one)], LOSS) is None


# --- how often an interval of it holds the truth --------------------------------------------------


@pytest.mark.parametrize("metric", [AUC, LOSS])
def test_where_a_users_rows_are_alike_only_the_clustered_one_is_right(metric):
    """Worlds of 120 users with 10 rows: the clustered error is the deviation that worlds have."""
    rng = np.random.default_rng(5)
    gains, alone, clustered = [], [], []
    for _ in range(300):
        ours, other = pair_of(rng, 2, [10] * 120)
        gains.append(value(ours, metric) - value(other, metric))
        parts = PARTS[metric](ours) - PARTS[metric](other)
        clustered.append(np.linalg.norm(cluster_sums(parts, ours.clusters)))
        alone.append(np.linalg.norm(parts))
    true = np.std(gains)
    assert np.sqrt(np.mean(np.square(clustered))) == pytest.approx(true, rel=0.12)
    assert np.sqrt(np.mean(np.square(alone))) < 0.75 * true
    covered = [np.mean(np.abs(gains) <= 1.96 * np.array(each)) for each in (clustered, alone)]
    assert covered[0] == pytest.approx(0.95, abs=0.035)
    assert covered[1] < 0.88


def test_of_independent_rows_clusters_change_little():
    rng = np.random.default_rng(6)
    labels, ratios = rng.integers(0, 2, 2000), []
    for metric, _ in itertools.product((AUC, LOSS), range(10)):
        runs = [run(labels, rng.normal(size=2000) + labels, np.arange(2000) // 5) for _ in range(2)]
        parts = PARTS[metric](runs[0]) - PARTS[metric](runs[1])
        clustered = cluster_sums(parts, runs[0].clusters)
        ratios.append(np.linalg.norm(clustered) / np.linalg.norm(parts))
    assert np.mean(ratios) == pytest.approx(1, abs=0.03)
