"""Ours against one other method over paired seeds: the honest form of the paper's t-test star.

The paper (§3, tables 1-2) marks "two-sided t-test with p < 0.05" and does not say how many runs
were made. With a handful of seeds normality cannot be checked, so the primary p-value here is that
of a sign-flip test: if the two methods were exchangeable, each seed's difference could as well
have had the other sign. It is exact of independent pairs, as seeds on one split are; over splits
that overlap, pairs are not. Beside it stands the corrected resampled t test of Nadeau and Bengio
("Inference for the generalization error", Machine Learning 52, 2003), whose interval is the one
shown; Wilcoxon's p-value is there for comparison.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats  # type: ignore[import-untyped]

Array = NDArray[np.float64]

MAX_ENUMERATED = 20  # pairs: 2^19 sign patterns, 4 MB and some milliseconds
MONTE_CARLO_FLIPS = 99_999  # beyond that: p is a multiple of 1e-5
SIGNIFICANT_DIGITS = 13  # of the inputs; a double has 15.9


@dataclass(frozen=True)
class Comparison:
    """Ours against another method; `gain` is the mean of the paired differences."""

    n: int
    """Pairs: seeds, or splits where several seeds share one of several."""
    gain: float
    """Mean difference in the metric's good direction: positive means ours is better."""
    sd: float
    """Standard deviation of the differences, ddof = 1."""
    low: float
    """Lower end of the corrected t test's interval of `gain`."""
    high: float
    p_permutation: float
    """The primary p-value: two-sided sign-flip test of the mean, exact of independent pairs."""
    p_wilcoxon: float
    p_t: float
    """Two-sided, of the corrected resampled t test."""
    effect_size: float
    """Cohen's d_z = gain / sd, the standardised mean of paired differences."""
    probability_of_improvement: float
    """Share of seeds on which ours is better, ties counting one half."""


def compare(
    ours: ArrayLike,
    other: ArrayLike,
    *,
    higher_is_better: bool,
    confidence: float = 0.95,
    splits: ArrayLike | None = None,
    test_to_train: float = 0.0,
) -> Comparison:
    """Compare two methods whose i-th values [n] share a seed.

    Args:
        ours: a metric of ours by seed.
        other: the same of the other method.
        higher_is_better: the metric's good direction.
        confidence: of the interval.
        splits: which split [n] each pair is of. Of several, those of one are averaged first: they
            share its rows, so that n is then the number of splits.
        test_to_train: Nadeau and Bengio's rho, test rows for each training row, where every seed
            trains and tests on a split of its own: training sets overlap then, so that differences
            are correlated, which widens t's standard error from sd sqrt(1/n) to sd sqrt(1/n + rho).
            0 where all seeds share one split; t is Student's paired t then.

    Raises:
        ValueError: `test_to_train` is below 0 or no number, or as `differences`.
    """
    if not 0 <= test_to_train < math.inf:
        raise ValueError(f"test_to_train must be a finite number, 0 or more, found {test_to_train}")
    if splits is not None:
        ours, other = _by_split(ours, splits), _by_split(other, splits)
    d = differences(ours, other, higher_is_better=higher_is_better)
    n, gain = len(d), float(d.mean())
    if np.ptp(d) == 0:  # no spread: the interval is a point, and t is 0/0 or gain/0
        sd, half = 0.0, 0.0
        p_t, effect = (1.0, 0.0) if gain == 0 else (0.0, math.copysign(math.inf, gain))
    else:
        sd = float(d.std(ddof=1))
        error = sd * math.sqrt(1 / n + test_to_train)
        half = error * float(stats.t.ppf((1 + confidence) / 2, n - 1))
        p_t, effect = 2 * float(stats.t.sf(abs(gain) / error, n - 1)), gain / sd
    return Comparison(
        n=n,
        gain=gain,
        sd=sd,
        low=gain - half,
        high=gain + half,
        p_permutation=sign_flip_p(d),
        p_wilcoxon=sign_flip_p(signed_ranks(d)),
        p_t=p_t,
        effect_size=effect,
        probability_of_improvement=float(np.mean((d > 0) + 0.5 * (d == 0))),
    )


def _by_split(values: ArrayLike, splits: ArrayLike) -> Array:
    """The mean of each split's values; the values themselves where all are of one split."""
    x, (names, places) = (
        np.asarray(values, dtype=np.float64),
        np.unique(splits, return_inverse=True),
    )
    if len(names) < 2:
        return x
    return np.asarray(np.bincount(places, x) / np.bincount(places))


def differences(ours: ArrayLike, other: ArrayLike, *, higher_is_better: bool) -> Array:
    """The gain per seed [n], rid of rounding noise.

    0.8012 - 0.8010 and 0.7012 - 0.7010 differ in the 17th decimal. Ranks, ties and "all the same"
    would be decided by that noise, so differences keep 13 significant digits of the larger input.
    """
    x, y = np.asarray(ours, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"one value per seed and method expected, found {x.shape} and {y.shape}")
    if len(x) < 2:
        raise ValueError(f"a paired comparison needs at least 2 seeds, found {len(x)}")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("a value is NaN or infinite: a failed run cannot be compared")
    d = x - y if higher_is_better else y - x
    scale = float(max(np.abs(x).max(), np.abs(y).max()))
    if scale == 0:
        return d
    return np.round(d, SIGNIFICANT_DIGITS - 1 - math.floor(math.log10(scale)))


def sign_flip_p(d: Array) -> float:
    """Two-sided p of the mean: the share of the 2^n sign patterns with |Σ ±d| ≥ |Σ d|.

    Flipping all signs leaves |Σ| as it is, so the first sign stays and 2^(n-1) patterns do; the
    observed one is among them, hence p ≥ 2^(1-n). Beyond 20 pairs (k+1)/(m+1) random patterns.
    """
    if not np.any(d):
        return 1.0
    # Sums that are equal on paper must count as ties, whatever the order of the additions.
    bound = abs(d.sum()) - 1e-9 * np.abs(d).sum()
    if len(d) > MAX_ENUMERATED:
        signs = np.random.default_rng(0).integers(0, 2, (MONTE_CARLO_FLIPS, len(d)), dtype=np.int8)
        extreme = int(np.count_nonzero(np.abs((2 * signs - 1) @ d) >= bound))
        return (extreme + 1) / (MONTE_CARLO_FLIPS + 1)
    sums = d[:1]
    for value in d[1:]:
        sums = np.concatenate([sums + value, sums - value])
    return float(np.mean(np.abs(sums) >= bound))


def signed_ranks(d: Array) -> Array:
    """Wilcoxon's signed ranks: zeros dropped, tied sizes share their mean rank.

    Their sign-flip test is the exact Wilcoxon test with ties, where SciPy's may turn to a normal
    approximation; without ties or zeros the two agree.
    """
    d = d[d != 0]
    return np.asarray(np.sign(d) * stats.rankdata(np.abs(d)), dtype=np.float64)
