"""The paired tests against published worked examples, SciPy and brute force."""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from autoloss.stats.paired import compare, differences, sign_flip_p, signed_ranks

# Student (1908), "The probable error of a mean": extra hours of sleep, ten patients, two drugs.
SLEEP_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
SLEEP_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]
# Darwin's Zea mays, crossed minus self-fertilised in eighths of an inch (Fisher 1935, §21).
DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
# Hollander & Wolfe (1973), p. 29: Hamilton depression scale before and after (R's ?wilcox.test).
BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]


def run(ours, other=None, *, higher=True, **options):
    other = np.zeros(len(ours)) if other is None else other
    return compare(ours, other, higher_is_better=higher, **options)


def brute_force_p(values) -> float:
    """All 2^n sign patterns, one at a time, in whole numbers: no rounding anywhere."""
    observed = abs(sum(values))
    patterns = itertools.product([1, -1], repeat=len(values))
    sums = [abs(sum(s * v for s, v in zip(signs, values, strict=True))) for signs in patterns]
    return sum(total >= observed for total in sums) / len(sums)


# --- published examples ---------------------------------------------------------------------


def test_students_sleep_data():
    result = run(SLEEP_1, SLEEP_2)
    assert result.gain == pytest.approx(-1.58)
    assert result.p_t == pytest.approx(0.002833, abs=5e-7)
    assert result.effect_size * math.sqrt(10) == pytest.approx(-4.0621, abs=5e-5)  # t = d_z √n
    # Nine differences that are not zero, all of one sign: both exact tests are at their minimum.
    assert result.p_wilcoxon == 2 / 2**9
    assert result.p_permutation == 2 / 2**9
    assert result.probability_of_improvement == 0.05  # one tie in ten


def test_darwins_maize_fishers_randomization_test():
    result = run(DARWIN)
    assert result.p_permutation == 1726 / 32768  # Fisher: 863 in each tail
    assert result.p_t == pytest.approx(0.0497, abs=5e-5)  # t = 2.148 on 14 degrees of freedom
    assert result.p_wilcoxon == pytest.approx(0.04126, abs=5e-6)
    assert result.probability_of_improvement == pytest.approx(13 / 15)


def test_hollander_wolfe_depression_scores():
    result = run(BEFORE, AFTER)
    assert signed_ranks(differences(BEFORE, AFTER, higher_is_better=True)).clip(0).sum() == 40
    assert result.p_wilcoxon == 20 / 512  # published one-sided: 0.0195


# --- independent references -----------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-6, 6), min_size=2, max_size=9))
def test_exact_tests_equal_brute_force_with_ties_and_zeros(values):
    d = np.array(values, dtype=float)
    assert sign_flip_p(d) == brute_force_p(values)
    doubled = [int(2 * rank) for rank in signed_ranks(d)]  # mean ranks are halves
    assert sign_flip_p(signed_ranks(d)) == brute_force_p(doubled)


@pytest.mark.parametrize("n", [2, 5, 12, 15])
def test_agrees_with_scipy(n):
    rng = np.random.default_rng(n)
    ours, other = rng.normal(0.6, 1, n), rng.normal(0, 1, n)
    result = run(ours, other)
    assert result.p_t == pytest.approx(stats.ttest_rel(ours, other).pvalue)
    assert result.p_wilcoxon == pytest.approx(stats.wilcoxon(ours - other, method="exact").pvalue)
    reference = stats.permutation_test(
        (ours, other),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=np.inf,
    )
    assert result.p_permutation == pytest.approx(reference.pvalue)


def test_monte_carlo_beyond_twenty_pairs_is_close_and_never_zero():
    d = np.random.default_rng(1).normal(0.2, 1, 21)
    sums = np.zeros(1)
    for value in d:
        sums = np.concatenate([sums + value, sums - value])
    exact = np.mean(np.abs(sums) >= abs(d.sum()) - 1e-9)
    assert 0.01 < exact < 0.2
    assert sign_flip_p(d) == pytest.approx(exact, abs=4 * math.sqrt(exact / 1e5))
    assert sign_flip_p(np.ones(60)) == 1e-5  # (0 + 1) / (99 999 + 1)


def interval(sample, **options):
    result = run(sample, **options)
    return result.low, result.high


def test_interval_covers_the_true_gain_about_as_often_as_it_says():
    samples = np.random.default_rng(5).normal(1, 1, (600, 12))
    inside = sum(low <= 1 <= high for low, high in map(interval, samples))
    assert abs(inside / 600 - 0.95) < 0.027  # three standard errors; BCa covered 0.91


def test_on_one_split_the_interval_and_p_are_students():
    d = np.random.default_rng(2).normal(0.3, 1, 12)
    student = stats.ttest_1samp(d, 0)
    expected = student.confidence_interval(0.95)
    result = run(d)
    assert (result.low, result.high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert result.p_t == pytest.approx(student.pvalue, abs=1e-12)
    narrow = run(d, confidence=0.5)
    assert result.low < narrow.low < narrow.high < result.high
    # The interval is the test turned round: at confidence 1 - p it ends at zero.
    assert min(map(abs, interval(d, confidence=1 - result.p_t))) == pytest.approx(0, abs=1e-12)


def test_overlapping_splits_widen_it_as_nadeau_and_bengio_have_it():
    """Student's sleep data by hand, as if ten splits tested on one ninth of what they train on."""
    result = run(SLEEP_1, SLEEP_2, test_to_train=1 / 9)
    # sd^2 = 1.512889, (1/10 + 1/9) sd^2 = 0.319388, its root 0.565144; 2.262157 is t(.975, 9).
    assert result.low == pytest.approx(-1.58 - 2.262157 * 0.565144, abs=1e-5)
    assert result.high == pytest.approx(-1.58 + 2.262157 * 0.565144, abs=1e-5)
    assert result.p_t == pytest.approx(2 * stats.t.cdf(-1.58 / 0.565144, 9), abs=1e-6)
    plain = run(SLEEP_1, SLEEP_2)
    for same in ("gain", "sd", "effect_size", "p_permutation", "p_wilcoxon"):
        assert getattr(result, same) == getattr(plain, same)


@pytest.mark.parametrize("test_to_train", [-0.1, math.nan, math.inf])
def test_an_impossible_share_of_test_rows_is_refused(test_to_train):
    with pytest.raises(ValueError, match="test_to_train must be a finite number"):
        run([1.0, 2.0, 4.0], test_to_train=test_to_train)


# --- properties -----------------------------------------------------------------------------

pairs = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), min_size=2, max_size=10
).map(lambda rows: np.array(rows, dtype=float).T / 10_000)


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_swapping_flips_the_gain_and_keeps_every_p(values):
    ours, other = values
    there, back = run(ours, other), run(other, ours)
    for sign_changes in ("gain", "effect_size"):
        assert getattr(there, sign_changes) == pytest.approx(-getattr(back, sign_changes))
    for same in ("n", "sd", "p_permutation", "p_wilcoxon", "p_t"):
        assert getattr(there, same) == pytest.approx(getattr(back, same))
    assert there.probability_of_improvement + back.probability_of_improvement == pytest.approx(1)
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low))
    # The other way round is the other direction of the metric, to the last digit.
    assert run(ours, other, higher=False) == back


@settings(max_examples=40, deadline=None)
@given(pairs, st.sampled_from([1e-3, 0.37, 2.0, 1e4]), st.randoms(use_true_random=False))
def test_p_knows_neither_the_unit_nor_the_order_of_seeds(values, unit, random):
    order = list(range(values.shape[1]))
    random.shuffle(order)
    plain, changed = run(*values), run(*(values * unit)[:, order])
    for p in ("p_permutation", "p_wilcoxon"):
        assert getattr(plain, p) == getattr(changed, p)
    assert plain.p_t == pytest.approx(changed.p_t)
    assert plain.gain * unit == pytest.approx(changed.gain, abs=1e-12 * unit)


@settings(max_examples=40, deadline=None)
@given(pairs)
def test_every_field_is_a_number_and_in_its_range(values):
    result = run(*values)
    assert not any(math.isnan(value) for value in asdict(result).values())
    assert result.low <= result.high
    smallest = 2.0 ** (1 - result.n)
    assert smallest <= result.p_permutation <= 1
    assert smallest <= result.p_wilcoxon <= 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=12))
def test_a_win_on_every_seed_has_the_smallest_possible_p(gains):
    result = run(np.array(gains) / 10_000)
    assert result.p_permutation == result.p_wilcoxon == 2.0 ** (1 - len(gains))
    assert result.probability_of_improvement == 1


@settings(max_examples=30, deadline=None)
@given(pairs)
def test_a_larger_lead_never_raises_p(values):
    ours, other = values
    assume((ours - other).sum() >= 0)
    assert run(ours + 0.05, other).p_permutation <= run(ours, other).p_permutation


# --- degenerate cases -----------------------------------------------------------------------


def test_no_difference_at_all():
    result = run([0.7, 0.8, 0.9], [0.7, 0.8, 0.9])
    assert result.p_permutation == result.p_wilcoxon == result.p_t == 1
    assert result.gain == result.sd == result.low == result.high == result.effect_size == 0
    assert result.probability_of_improvement == 0.5


def test_constant_difference_is_seen_through_rounding_noise():
    ours, other = [0.8012, 0.7012, 0.3012], [0.8010, 0.7010, 0.3010]
    assert len({a - b for a, b in zip(ours, other, strict=True)}) > 1  # the trap is real
    result = run(ours, other)
    assert result.gain == result.low == result.high == pytest.approx(0.0002)
    assert (result.sd, result.p_t, result.effect_size) == (0, 0, math.inf)
    assert result.p_permutation == result.p_wilcoxon == 0.25
    assert run(other, ours).effect_size == -math.inf


def test_ties_are_seen_through_rounding_noise():
    # Patients 3 and 4 both gained 1.3 hours, though 1.1 + 0.2 > 0.1 + 1.2 in floating point.
    ranks = signed_ranks(differences(SLEEP_2, SLEEP_1, higher_is_better=True))
    assert sorted(ranks) == [1, 2, 3, 4.5, 4.5, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("ours", "other", "message"),
    [
        ([1.0], [2.0], "at least 2 seeds, found 1"),
        ([], [], "at least 2 seeds, found 0"),
        ([1.0, 2.0], [1.0, 2.0, 3.0], r"found \(2,\) and \(3,\)"),
        ([[1.0, 2.0]], [[1.0, 2.0]], r"found \(1, 2\)"),
        ([1.0, math.nan], [1.0, 2.0], "NaN or infinite"),
        ([1.0, 2.0], [1.0, math.inf], "NaN or infinite"),
    ],
)
def test_bad_input_is_refused(ours, other, message):
    with pytest.raises(ValueError, match=message):
        run(ours, other)
