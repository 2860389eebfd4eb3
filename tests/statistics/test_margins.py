"""Tests against a minimum effect, power and posterior: by hand, and against other libraries."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.weightstats import ttost_paired

from autoloss.claims.margins import (
    below_p,
    equivalence_p,
    equivalence_t,
    power,
    rope,
    seeds_for,
    upper_p,
)
from autoloss.stats import seeds_needed
from autoloss.stats.paired import sign_flip_p

SIZE = 0.001


def brute_force_upper_p(values) -> float:
    patterns = itertools.product([1, -1], repeat=len(values))
    sums = [sum(s * v for s, v in zip(signs, values, strict=True)) for signs in patterns]
    return sum(total >= sum(values) for total in sums) / len(sums)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(-6, 6), min_size=2, max_size=9))
def test_one_sided_p_equals_brute_force_and_half_of_the_two_sided(values):
    d = np.array(values, dtype=float)
    assert upper_p(d) == brute_force_upper_p(values)
    assert min(1, 2 * min(upper_p(d), upper_p(-d))) == pytest.approx(sign_flip_p(d))


def test_equivalence_by_hand():
    # Against ±5 the four gains are -6, -4, -7, -3 and 4, 6, 3, 7: all of one sign, 1 pattern of 16.
    d = np.array([-1.0, 1.0, -2.0, 2.0])
    assert below_p(d, 5) == upper_p(d + 5) == equivalence_p(d, 5) == 1 / 16
    # Against ±1: 2, 0, 3, -1 sum to 4. Of 16 patterns those with a sum of 4 or more have +3 and +2
    # and any signs of 0 and -1 (2 x 2), which give 6, 6, 4, 4: p = 4/16, on both sides.
    assert equivalence_p(d, 1) == 4 / 16


def test_many_seeds_are_sampled_and_never_give_zero():
    assert upper_p(np.ones(40)) == 1e-5
    d = np.random.default_rng(3).normal(0.2, 1, 30)
    assert upper_p(d) == pytest.approx(
        stats.ttest_1samp(d, 0, alternative="greater").pvalue, abs=0.01
    )


@pytest.mark.parametrize("n", [6, 12, 20])
def test_students_equivalence_is_statsmodels_and_scipys(n):
    rng = np.random.default_rng(n)
    ours, other = rng.normal(0.8, 0.002, (2, n))
    found = equivalence_t(ours - other, SIZE)
    assert found == pytest.approx(ttost_paired(ours, other, -SIZE, SIZE)[0])
    above = stats.ttest_1samp(ours - other, -SIZE, alternative="greater").pvalue
    below = stats.ttest_1samp(ours - other, SIZE, alternative="less").pvalue
    assert found == pytest.approx(max(above, below))
    assert equivalence_p(ours - other, SIZE) == pytest.approx(found, abs=0.05)


def test_without_spread_students_equivalence_is_a_fact():
    assert equivalence_t(np.full(4, 0.5 * SIZE), SIZE) == 0
    assert equivalence_t(np.full(4, -SIZE), SIZE) == 1


@pytest.mark.parametrize(("n", "comparisons", "ratio"), [(6, 1, 2), (12, 8, 1), (20, 32, 1)])
def test_power_is_the_share_of_simulated_tests_that_find_the_effect(n, comparisons, ratio):
    d = np.random.default_rng(n).normal(ratio, 1, (1500, n))
    found = np.mean([2 * upper_p(one) * comparisons < 0.05 for one in d])
    assert power(n, 1.0, ratio, comparisons, 0.05) == pytest.approx(found, abs=0.07)


def test_power_is_noncentral_t_at_the_attainable_level():
    level = 102 / 2**11  # the largest multiple of 2^-11 below 0.05
    limit = stats.t.isf(level / 2, 11)
    assert power(12, 0.002, 0.001, 1, 0.05) == pytest.approx(stats.nct.sf(limit, 11, 0.5 * 12**0.5))
    assert power(5, 1e-9, 1, 1, 0.05) == 0  # five seeds cannot be significant
    assert power(12, 0, 1, 1, 0.05) == 1


@given(st.floats(0.05, 3), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_seeds_for_is_the_first_number_with_enough_power(ratio, comparisons):
    n = seeds_for(1.0, ratio, comparisons, 0.05)
    assert power(n, 1.0, ratio, comparisons, 0.05) >= 0.8
    assert n == seeds_needed(comparisons) or power(n - 1, 1.0, ratio, comparisons, 0.05) < 0.8
    assert seeds_for(1.0, 1e-6, 1, 0.05) is None


def test_posterior_by_hand_and_its_agreement_with_students_test():
    d = np.array([1.0, 2.0, 3.0, 4.0]) * SIZE
    above, within, below = rope(d, SIZE)
    # Mean 2.5, scale √(5/3) / √4: (1 - 2.5) / 0.6455 = -2.3238, (-1 - 2.5) / 0.6455 = -5.4222.
    assert above == pytest.approx(stats.t.sf(-2.3238, 3), abs=1e-5)
    assert below == pytest.approx(stats.t.cdf(-5.4222, 3), abs=1e-5)
    assert above + within + below == pytest.approx(1)
    # With this prior the share below is Student's one-sided p.
    assert below == pytest.approx(stats.ttest_1samp(d, -SIZE, alternative="greater").pvalue)
    assert rope(np.full(3, SIZE / 2), SIZE) == (0, 1, 0)
