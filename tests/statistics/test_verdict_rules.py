"""The rules of a verdict: each by hand, and how often they find what was planted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from autoloss.claims.rules import (
    DIRECTION,
    INCONCLUSIVE,
    NOT,
    REPRODUCED,
    UNASSESSABLE,
    conjunction,
    decide,
)
from benchmarks import verdict_power as power_of

SIZE = 0.001  # the minimum effect of the examples

# --- a comparison's verdict, by hand: six seeds, gains in minimum effects ---------------------

WIN = [3, 2, 4, 3, 2, 4]  # mean 3; all of one sign: p = 2 / 2^6 = 0.031
SMALL_WIN = [0.2, 0.1, 1.8, 0.3, 1.9, 0.4]  # mean 0.8, p = 0.031
TINY_WIN = [0.6, 0.4, 0.9, 0.7, 0.5, 0.8]  # the same, and each within ±1: p = 1 / 2^6, twice
LOSS = [-3, -2, -4, -3, -2, -4]
NOTHING = [0.3, -0.2, 0.4, -0.3, 0.1, -0.4]  # each within ±1, and p is 1
LESS = [-5, 0.5, -4, 0.6, -3, 0.2]  # each below 1: p = 1 / 2^6; but some below -1 too
NOISE = [5, -4, 6, -3, 7, -5]


def one(gains, key="this", size=SIZE, differs=False):
    found = power_of.tested(np.array(gains) * SIZE, size, key, family="all")
    return replace(found, differs=True, p_below=np.nan) if differs else found


def decided(*family):
    found = decide(family, power_of.ALPHA)[0]
    return found.verdict, found.detail


@pytest.mark.parametrize(
    ("gains", "verdict", "detail"),
    [
        (WIN, REPRODUCED, ""),
        (SMALL_WIN, DIRECTION, ""),
        (TINY_WIN, DIRECTION, "equivalent"),
        (LOSS, NOT, "reversed"),
        (NOTHING, NOT, "equivalent"),
        (LESS, NOT, "smaller than the minimum effect"),
        (NOISE, INCONCLUSIVE, ""),
        (WIN[:5], INCONCLUSIVE, ""),  # five wins of five: p = 0.0625
        (NOTHING[:4], INCONCLUSIVE, ""),  # all of four within ±1: p = 0.0625
    ],
)
def test_each_verdict_by_hand(gains, verdict, detail):
    assert decided(one(gains)) == (verdict, detail)


@pytest.mark.parametrize(
    ("gains", "verdict", "detail"),
    [
        (WIN, REPRODUCED, ""),
        (LOSS, REPRODUCED, ""),
        (SMALL_WIN, DIRECTION, ""),
        (NOTHING, NOT, "equivalent"),
        (LESS, INCONCLUSIVE, ""),  # it may be -2, which is a difference
    ],
)
def test_a_claim_of_a_difference_takes_either_direction(gains, verdict, detail):
    assert decided(one(gains, differs=True)) == (verdict, detail)


def test_the_minimum_effect_moves_the_verdict():
    assert decided(one(WIN, size=SIZE * 4)) == (DIRECTION, "")  # the mean is 3
    assert decided(one(SMALL_WIN, size=SIZE / 2)) == (REPRODUCED, "")
    assert decided(one(NOTHING, size=SIZE / 5)) == (INCONCLUSIVE, "")


def test_holm_corrects_within_a_family_and_counts_a_comparison_once():
    assert decided(one(WIN), one(NOISE, "other")) == (INCONCLUSIVE, "")  # 2 x 0.031
    assert decided(one(WIN), one(WIN)) == (REPRODUCED, "")  # asked by two claims: one test
    assert decided(one(LESS), one(LESS, differs=True))[0] == NOT  # whose p_below is no test
    apart = replace(one(NOISE, "other"), family="another")
    assert decided(one(WIN), apart) == (REPRODUCED, "")
    # Each kind of test has its own correction: two wins leave the one test "less than 1" alone.
    found = decide([one(LESS), one(WIN, "a"), one(WIN, "b")], power_of.ALPHA)[0]
    assert found.p_below_holm == 3 / 64
    assert (found.verdict, found.of) == (NOT, 3)


def test_a_claim_is_as_weak_as_its_weakest_comparison():
    assert conjunction([REPRODUCED, REPRODUCED]) == REPRODUCED
    assert conjunction([REPRODUCED, DIRECTION]) == DIRECTION
    assert conjunction([REPRODUCED, DIRECTION, INCONCLUSIVE]) == INCONCLUSIVE
    assert conjunction([INCONCLUSIVE, UNASSESSABLE]) == UNASSESSABLE
    assert conjunction([REPRODUCED, UNASSESSABLE, NOT]) == NOT  # false, whatever the missing says


def test_that_nothing_differs_is_said_when_nothing_is_open():
    assert conjunction([NOT, INCONCLUSIVE], differs=True) == INCONCLUSIVE
    assert conjunction([NOT, UNASSESSABLE], differs=True) == UNASSESSABLE
    assert conjunction([NOT, NOT, REPRODUCED], differs=True) == NOT  # not everywhere


# --- how often the rules find what was planted ------------------------------------------------


@pytest.mark.parametrize("n", [6, 12, 20])
@pytest.mark.parametrize("gain", power_of.WORLDS.values(), ids=power_of.WORLDS)
def test_planted_worlds_get_their_verdicts_at_the_stated_rates(n, gain):
    """Families of 8 in 60 studies; docs/statistics.md has the rates of 2000."""
    found = power_of.rates(
        power_of.simulate(np.random.default_rng(n), n, 8, gain, studies=60), gain
    )
    assert found.false <= 7 / 60  # 5 % is 3 of 60; 8 or more have a probability of 1 %
    if n == 6:
        assert found.rows[INCONCLUSIVE] == 1  # 2^-5 x 8 is not below 0.05
    elif gain >= 2:
        assert found.rows[REPRODUCED] >= 0.98
    elif gain == 1:
        assert 0.3 <= found.rows[REPRODUCED] <= 0.6
    elif gain == -2:
        assert found.rows[NOT] >= 0.97
    else:
        assert found.rows[REPRODUCED] <= 0.01
        assert found.rows[NOT] >= {12: 0.4, 20: 0.75}[n]


def test_a_family_of_one_keeps_its_level_with_six_seeds():
    found = power_of.rates(
        power_of.simulate(np.random.default_rng(0), 6, 1, 0.0, studies=1000), 0.0
    )
    assert found.false <= 0.047  # the exact test has 1 / 32; four standard errors above it
