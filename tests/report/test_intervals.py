"""Intervals of means: within the range of what they are means of, and as others compute them."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats

from autoloss.report.figures._intervals import t_interval
from autoloss.report.figures._source import carried_forward


def of(values, confidence=0.95, **kind):
    """The interval of some runs' mean, as two numbers."""
    error = stats.sem(values) if len(values) > 1 else np.nan
    ends = t_interval(np.mean(values), error, len(values), confidence, **kind)
    return [float(end) for end in ends]


def test_a_share_worked_by_hand():
    """Of .2 and .6: mean .4, error .2, t(1 df) 12.7062; logit(.4) = -.4055, slope 1/.24."""
    half = 12.7062 * 0.2 / 0.24
    expected = [1 / (1 + math.exp(0.405465 + half)), 1 / (1 + math.exp(0.405465 - half))]
    assert of([0.2, 0.6], shares=True) == pytest.approx(expected, rel=1e-4)


def test_the_share_is_that_of_a_binomial_model_with_robust_errors():
    """statsmodels: a constant alone under the logit link, sandwich errors over n - 1 for n."""
    values = np.random.default_rng(0).beta(1, 4, 12)
    fit = sm.GLM(values, np.ones(12), family=sm.families.Binomial()).fit(cov_type="HC0")
    half = stats.t.ppf(0.975, 11) * fit.bse[0] * math.sqrt(12 / 11)
    ends = fit.params[0] + half * np.array([-1, 1])
    assert of(values, shares=True) == pytest.approx(1 / (1 + np.exp(-ends)), rel=1e-6)


def test_the_plain_one_is_students():
    values = np.random.default_rng(1).normal(size=7)
    expected = stats.t.interval(0.9, 6, values.mean(), stats.sem(values))
    assert of(values, 0.9) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.3])
def test_without_spread_it_is_a_point(value):
    assert of([value] * 12, shares=True) == pytest.approx([value, value], abs=1e-15)


@pytest.mark.parametrize("shares", [False, True])
def test_a_single_run_has_none(shares):
    assert np.isnan(of([0.4], shares=shares)).all()


def test_a_share_keeps_to_its_range_and_holds_the_mean():
    random = np.random.default_rng(2)
    shares = [random.beta(a, b, n) for a, b in [(0.05, 2), (3, 0.1)] for n in (2, 3, 12) * 30]
    shares += [np.eye(12)[0], 1 - np.eye(12)[0], np.array([1e-300, 1.0])]
    for values in shares:
        low, high = of(values, shares=True)
        assert 0 <= low <= values.mean() <= high <= 1


def test_it_covers_shares_near_an_end_where_the_plain_one_does_not():
    values = np.random.default_rng(3).beta(0.2, 0.8, (4000, 12))
    covered = {}
    for shares in (False, True):
        low, high = t_interval(values.mean(1), stats.sem(values, axis=1), 12, 0.95, shares=shares)
        covered[shares] = np.mean((low <= 0.2) & (high >= 0.2))
    assert covered[False] < 0.92
    assert 0.925 < covered[True] < 0.97


def test_a_run_that_stopped_keeps_its_last_value():
    """Two runs of 1 and 3 epochs: the mean falls where values fall, not where the better stops."""
    runs = pd.DataFrame(
        {"cell": "a", "seed": [0, 1, 1, 1], "epoch": [1, 1, 2, 3], "auc": [0.9, 0.7, 0.6, 0.5]}
    )
    other = runs.iloc[[0]].assign(cell="b")  # ends with its own longest
    frame = carried_forward(pd.concat([runs, other]), ["cell"])
    assert len(frame) == 7
    means = frame.groupby(["cell", "epoch"])[["auc", "training"]].agg(["mean", "sum", "size"])
    np.testing.assert_allclose(means.loc["a", ("auc", "mean")], [0.8, 0.75, 0.7])
    assert means.loc["a", ("training", "sum")].tolist() == [2, 1, 1]
    assert means.loc["a", ("auc", "size")].tolist() == [2, 2, 2]
