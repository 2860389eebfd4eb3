"""The rules of a verdict: each by hand, and how often they find what was planted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from autoloss.claims import rules
from autoloss.claims.rules import FAILS, HOLDS, MISSING, MIXED, OPEN, OUTCOMES, decide, together
from benchmarks import verdict_power as power_of

SIZE = 1.0  # the smallest effect of interest of the examples
ALPHA = power_of.ALPHA

# --- a comparison, by hand: six seeds, gains in smallest effects of interest -------------------

WIN = [3, 2, 4, 3, 2, 4]  # mean 3; all of one sign: p = 2 / 2^6 = 0.031; t = 9.5
SMALL_WIN = [0.2, 0.1, 1.8, 0.3, 1.9, 0.4]  # mean 0.8, p = 0.031; t = 2.4, p = 0.06
TINY_WIN = [0.6, 0.4, 0.9, 0.7, 0.5, 0.8]  # all above 0 and all below 1: both p = 0.031
NEAR_WIN = [0.6, 0.7, 0.9, 1.1, 0.8, 1.2]  # above 0, but 0.88 is below 1, not significantly
OUTLIER = [0.5, 0.6, 0.7, 0.8, 0.9, 40.0]  # the exact p is 0.031, that of t 0.3
LOSS = [-3, -2, -4, -3, -2, -4]
NOTHING = [0.3, -0.2, 0.4, -0.3, 0.1, -0.4]  # all below 1
NOISE = [5, -4, 6, -3, 7, -5]


def comparison(gains, key="this", minimum=SIZE, family="all"):
    d = np.array([gains], dtype=float)
    (zero,), (least,) = power_of.statistics(d), power_of.statistics(d - minimum)
    return rules.Tested(key, family, minimum, zero, least)


def outcome(*family):
    return decide(family, ALPHA)[0].outcome


@pytest.mark.parametrize(
    ("gains", "expected"),
    [
        (WIN, HOLDS),
        (SMALL_WIN, OPEN),
        (TINY_WIN, FAILS),
        (NEAR_WIN, OPEN),
        (OUTLIER, OPEN),
        (LOSS, FAILS),
        (NOTHING, FAILS),
        (NOISE, OPEN),
        (WIN[:5], OPEN),  # five wins of five: p = 0.0625
    ],
)
def test_each_outcome_by_hand(gains, expected):
    assert outcome(comparison(gains)) == expected


def test_the_smallest_effect_of_interest_moves_the_outcome():
    assert outcome(comparison(WIN, minimum=3.5)) == OPEN  # the mean is 3
    assert outcome(comparison(WIN, minimum=5)) == FAILS
    assert outcome(comparison(TINY_WIN, minimum=0.5)) == HOLDS
    assert outcome(comparison(NOTHING, minimum=0.2)) == OPEN


def test_worse_is_said_only_of_a_loss():
    assert decide([comparison(LOSS)], ALPHA)[0].p_worse == pytest.approx(2 / 2**6)
    assert decide([comparison(NOTHING)], ALPHA)[0].p_worse == 1  # its mean is -0.017, p 0.97
    assert decide([comparison(TINY_WIN)], ALPHA)[0].p_worse == 1


def test_holm_corrects_both_tests_within_a_family_and_counts_a_comparison_once():
    assert outcome(comparison(WIN), comparison(NOISE, "other")) == OPEN  # 2 x 0.031
    assert outcome(comparison(WIN), comparison(WIN)) == HOLDS  # asked by two claims: one test
    assert outcome(comparison(WIN), comparison(WIN, minimum=2)) == HOLDS
    assert outcome(comparison(WIN), comparison(NOISE, "other", family="another")) == HOLDS
    family = [comparison(np.array(WIN) + k, k) for k in range(3)] + [comparison(NOISE, "noise")]
    found = decide(family, 0.2)
    exact = multipletests([t.zero.p_permutation for t in family], method="holm")[1]
    student = multipletests([t.zero.p_t for t in family], method="holm")[1]
    assert [one.p_holds for one in found] == pytest.approx(list(np.maximum(exact, student)))
    assert {one.of for one in found} == {4}


GAINS = st.lists(
    st.lists(st.floats(-3, 3).map(lambda x: round(x, 3)), min_size=7, max_size=7),
    min_size=1,
    max_size=4,
)
RANK = {HOLDS: 3, OPEN: 2, MIXED: 1, FAILS: 0}  # from best


@settings(max_examples=150, deadline=None)
@given(GAINS, st.floats(0.05, 2), st.floats(0.01, 3), st.integers(0, 3))
def test_no_verdict_of_a_study_improves_when_a_gain_gets_worse(gains, minimum, loss, which):
    worse = [list(d) for d in gains]
    worse[which % len(gains)] = [x - loss for x in gains[which % len(gains)]]
    before, after = (
        [
            one.outcome
            for one in decide([comparison(d, k, minimum) for k, d in enumerate(study)], 0.2)
        ]
        for study in (gains, worse)
    )
    assert all(RANK[a] <= RANK[b] for a, b in zip(after, before, strict=True))
    assert RANK[together(after)] <= RANK[together(before)]


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([HOLDS, HOLDS], HOLDS),
        ([FAILS, OPEN, MISSING], FAILS),
        ([HOLDS, FAILS, OPEN], MIXED),
        ([HOLDS, OPEN], OPEN),
        ([HOLDS, MISSING], OPEN),
        ([OPEN, OPEN], OPEN),
        ([MISSING, MISSING], MISSING),
    ],
)
def test_a_claim_of_several_comparisons(outcomes, expected):
    assert together(outcomes) == expected
    assert set(OUTCOMES) == {*RANK, MISSING}


# --- how often the rules err -------------------------------------------------------------------


@pytest.mark.parametrize("test_to_train", [0.0, power_of.OVERLAP])
@pytest.mark.parametrize("comparisons", [1, 16])
def test_without_effect_at_most_one_study_in_twenty_has_a_finding(comparisons, test_to_train):
    """Twelve seeds; with splits of their own the gains of a comparison are correlated."""
    studies = 1500 if comparisons == 1 else 400
    rng = np.random.default_rng(comparisons)
    d = power_of.planted(rng, studies, comparisons, power_of.SEEDS, 0.0, test_to_train)
    found = power_of.outcomes(d, 1e-9, test_to_train)
    for word in (HOLDS, FAILS):  # of a zero gain neither is so: 5 %, and two standard errors
        share = (found == word).any(axis=1).mean()
        assert share <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / studies)


def over_real_splits(worlds, comparisons, rows=400):
    """Gains [worlds, comparisons, 12] of equally good models, fitted and judged on real splits.

    Each of 12 splits takes 8 tenths of a world's rows to fit a slope on one feature of several
    that are alike, and 1 to judge it: ours has the first feature, each other one of the rest.
    """
    rng, gains = np.random.default_rng(comparisons), []
    for _ in range(worlds):
        x = rng.normal(size=(rows, comparisons + 1))
        y = x.sum(axis=1, keepdims=True) / np.sqrt(comparisons + 1) + rng.normal(size=(rows, 1))
        place = rng.random((power_of.SEEDS, rows)).argsort(axis=1)
        train, test = place < 0.8 * rows, place >= 0.9 * rows
        slope = (train @ (x * y)) / (train @ x**2)
        squares = slope**2 * (test @ x**2) - 2 * slope * (test @ (x * y))  # less that of y
        gains.append((squares[:, 1:] - squares[:, :1]).T)
    d = np.array(gains)
    return d / np.sqrt(d.var(axis=2, ddof=1).mean())


@pytest.mark.parametrize(("comparisons", "worlds"), [(1, 2000), (8, 600)])
def test_over_real_splits_at_most_one_study_in_twenty_says_that_a_claim_holds(comparisons, worlds):
    """Whatever is of interest; and twice as many or more without the correction."""
    d = over_real_splits(worlds, comparisons)
    for minimum in (1e-9, 0.5):
        found = power_of.outcomes(d, minimum, power_of.OVERLAP)
        assert (found == HOLDS).any(axis=1).mean() <= 0.05
        uncorrected = power_of.outcomes(d, minimum)
        assert (uncorrected == HOLDS).any(axis=1).mean() > 0.07
    # What is shared beyond chance is what the correction takes it to be: 1/8 of the variance.
    shared = d.mean(axis=2).var() - 1 / power_of.SEEDS
    assert shared == pytest.approx(power_of.OVERLAP, abs=0.025)


def test_the_exact_test_alone_would_err_over_overlapping_splits():
    d = power_of.planted(np.random.default_rng(1), 1500, 1, power_of.SEEDS, 0.0, power_of.OVERLAP)
    p = np.array([one.p_permutation for one in power_of.statistics(d[:, 0])])
    assert (p < 0.05).mean() > 0.1
