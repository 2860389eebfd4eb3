"""Metrics against scikit-learn and against hand-worked values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from threadpoolctl import threadpool_limits

from autoloss.errors import DataError
from autoloss.metrics import METRICS
from autoloss.task import Task
from autoloss.training.evaluate import Calibrator, auc, logloss

BINARY, RATING = Task(2), Task(5)


def planted(task, rows=4000, seed=0):
    """Labels drawn from the softmax of the logits that are returned: calibrated by making."""
    random = np.random.default_rng(seed)
    if task.binary:
        logits = random.normal(size=rows)
        return (random.random(rows) < expit(logits)).astype(np.int64), logits
    logits = random.normal(size=(rows, task.classes))
    shares = softmax(logits, axis=1).cumsum(axis=1)
    return (random.random((rows, 1)) > shares).sum(axis=1).clip(max=4), logits


def test_binary_metrics_are_sklearns():
    labels, logits = planted(BINARY)
    assert auc(BINARY, labels, logits) == pytest.approx(roc_auc_score(labels, logits), abs=1e-15)
    assert logloss(BINARY, labels, logits) == pytest.approx(log_loss(labels, expit(logits)), 1e-12)


@pytest.mark.parametrize("levels", [1, 2, 7, 4000])
def test_auc_of_tied_scores_is_sklearns(levels):
    labels, logits = planted(BINARY)
    tied = np.floor(expit(logits) * levels) / levels
    assert auc(BINARY, labels, tied) == pytest.approx(roc_auc_score(labels, tied), abs=1e-15)


def test_both_averages_of_the_one_vs_rest_auc_are_sklearns():
    labels, logits = planted(RATING)
    labels[:1500] = 0  # unequal shares, or both would be about the same
    chances = softmax(logits, axis=1)
    for weighted, average in ((False, "macro"), (True, "weighted")):
        expected = roc_auc_score(labels, chances, multi_class="ovr", average=average)
        assert auc(RATING, labels, logits, weighted=weighted) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("task", [BINARY, RATING])
def test_recalibration_is_sklearns_logistic_regression(task):
    (fit_labels, fit_logits), (labels, logits) = planted(task, seed=1), planted(task, seed=2)
    regression = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
    regression.fit(3 * fit_logits.reshape(-1, task.outputs) + 1, fit_labels)
    expected = log_loss(labels, regression.predict_proba(3 * logits.reshape(-1, task.outputs) + 1))
    found = Calibrator.fit(task, fit_labels, 3 * fit_logits + 1).logloss(labels, 3 * logits + 1)
    assert found == pytest.approx(expected, abs=1e-7)


def test_recalibration_has_the_same_bits_on_any_number_of_threads():
    for rows in range(20_000, 20_010):
        labels, logits = planted(RATING, rows=rows)
        found = set()
        for threads in (1, 2):
            with threadpool_limits(threads):
                fitted = Calibrator.fit(RATING, labels, logits)
                found.add((fitted.coefficients.tobytes(), fitted.logloss(labels, logits)))
        assert len(found) == 1


def test_recalibration_of_constant_logits_gives_the_share_of_each_class():
    labels, logits = np.array([0, 1, 1, 1]), np.full(4, 3.0)
    expected = -(np.log(0.25) + 3 * np.log(0.75)) / 4
    assert Calibrator.fit(BINARY, labels, logits).logloss(labels, logits) == pytest.approx(expected)


def test_rating_metrics_are_sklearns_one_vs_rest_macro():
    labels, logits = planted(RATING)
    probabilities = softmax(logits, axis=1)
    each = [roc_auc_score(labels == c, probabilities[:, c]) for c in range(5)]
    assert auc(RATING, labels, logits) == pytest.approx(np.mean(each), 1e-12)
    expected = log_loss(labels, probabilities)
    assert logloss(RATING, labels, logits) == pytest.approx(expected, 1e-12)


def test_hand_worked():
    labels, logits = np.array([0, 1, 1, 0]), np.array([-1.0, 2.0, -2.0, -3.0])
    assert auc(BINARY, labels, logits) == 0.75  # of 4 pairs, (1, -2) against (0, -1) is wrong
    expected = np.log1p(np.exp([-1.0, -2.0, 2.0, -3.0])).mean()
    assert logloss(BINARY, labels, logits) == pytest.approx(expected, 1e-12)


def test_logloss_stays_finite_where_probabilities_underflow():
    assert logloss(BINARY, np.array([0, 1]), np.array([2000.0, 5.0])) == pytest.approx(1000, 1e-3)


@pytest.mark.parametrize("task", [BINARY, RATING])
def test_recalibration_undoes_a_scaling_of_the_logits(task):
    (fit_labels, fit_logits), (labels, logits) = planted(task, seed=1), planted(task, seed=2)
    right = logloss(task, labels, logits)
    assert logloss(task, labels, 4 * logits) > right + 0.2
    found = Calibrator.fit(task, fit_labels, 4 * fit_logits).logloss(labels, 4 * logits)
    assert found == pytest.approx(right, abs=0.01)


def test_a_split_without_a_class_is_a_clear_error():
    with pytest.raises(DataError, match="no example of class 1"):
        auc(BINARY, np.zeros(5, dtype=np.int64), np.arange(5.0))


def test_gain_is_positive_when_ours_is_better_for_every_metric():
    assert METRICS["auc"].gain(0.8, 0.7) == pytest.approx(0.1)
    assert METRICS["logloss"].gain(0.4, 0.5) == pytest.approx(0.1)
    assert METRICS["logloss_calibrated"].gain(0.5, 0.4) == pytest.approx(-0.1)
