"""Holm's correction and the facts about the number of seeds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from autoloss.stats import can_be_significant, compare, holm, seeds_needed, smallest_p

probabilities = st.lists(st.floats(0, 1), min_size=1, max_size=12)


def holm_by_hand(p: list[float]) -> list[float]:
    """Holm (1979): the k-th smallest times (m - k + 1), made monotone."""
    adjusted, running = [0.0] * len(p), 0.0
    for k, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        running = max(running, (len(p) - k) * p[i])
        adjusted[i] = min(1.0, running)
    return adjusted


def test_worked_example():
    # Four hypotheses (Wikipedia, "Holm-Bonferroni method"): at 0.05 only H1 and H4 are rejected.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_benjamini_hochberg_1995_data():
    # Fifteen p-values of a thrombolysis trial (Benjamini & Hochberg 1995, §4.1), where methods
    # that hold the family error reject exactly the three smallest.
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459]
    p += [0.3240, 0.4262, 0.5719, 0.6528, 0.7590, 1.0]
    adjusted = holm(p)
    assert adjusted[:4] == pytest.approx([0.0015, 0.0056, 0.0247, 0.1140])
    assert (adjusted < 0.05).sum() == 3


@given(probabilities)
def test_equals_the_definition(p):
    assert holm(p) == pytest.approx(holm_by_hand(p))


@given(probabilities)
def test_equals_statsmodels_to_the_bit(p):
    assert np.array_equal(holm(p), multipletests(p, method="holm")[1])


@given(probabilities)
def test_never_below_raw_keeps_the_order_never_above_bonferroni(p):
    raw, adjusted = np.array(p), holm(p)
    assert np.all(adjusted >= raw)
    assert np.all(adjusted <= np.minimum(1, raw * len(p)) + 1e-15)
    assert np.all(np.diff(adjusted[np.argsort(raw)]) >= 0)


@given(probabilities, st.integers(0, 12))
def test_nan_is_no_test(p, position):
    holed = np.insert(np.array(p), min(position, len(p)), np.nan)
    adjusted = holm(holed)
    assert np.isnan(adjusted).sum() == 1
    assert np.array_equal(adjusted[~np.isnan(holed)], holm(p))


def test_empty_and_impossible():
    assert holm([]).size == 0
    assert np.isnan(holm([np.nan, np.nan])).all()
    with pytest.raises(ValueError, match="outside"):
        holm([0.2, 1.2])


@pytest.mark.parametrize("n", [2, 5, 6, 10, 11, 12])
def test_smallest_p_is_what_the_exact_tests_reach(n):
    result = compare(np.arange(1, n + 1), np.zeros(n), higher_is_better=True)
    assert smallest_p(n) == result.p_permutation == result.p_wilcoxon
    assert smallest_p(0) == smallest_p(1) == 1


def test_design_facts():
    assert not can_be_significant(5)
    assert can_be_significant(6)
    assert not can_be_significant(10, 30)
    assert can_be_significant(11, 30)
    assert (seeds_needed(), seeds_needed(30)) == (6, 11)
    assert not can_be_significant(5, 1, alpha=0.0625)  # equal is not below


@given(st.integers(1, 500), st.sampled_from([0.01, 0.05, 0.1]))
def test_seeds_needed_is_the_turning_point(comparisons, alpha):
    n = seeds_needed(comparisons, alpha)
    assert can_be_significant(n, comparisons, alpha)
    assert not can_be_significant(n - 1, comparisons, alpha)


@pytest.mark.parametrize(("comparisons", "alpha"), [(0, 0.05), (3, 0.0), (3, 1.0)])
def test_seeds_needed_refuses_what_has_no_answer(comparisons, alpha):
    with pytest.raises(ValueError, match="comparisons >= 1"):
        seeds_needed(comparisons, alpha)
