"""Tests against a minimum effect, and what a number of seeds can show of it.

"No difference shown" is no finding: it may mean few seeds. Two one-sided tests against ±size make
one of it (TOST, Schuirmann 1987). They are sign-flip tests as the primary p is: exact at any number
of seeds, if differences scatter symmetrically about their mean. Student's form stands beside them.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]
from statsmodels.stats.power import TTestPower  # type: ignore[import-untyped]
from statsmodels.stats.weightstats import ttost_paired  # type: ignore[import-untyped]

from autoloss.stats import seeds_needed
from autoloss.stats.paired import MAX_ENUMERATED, MONTE_CARLO_FLIPS

Array = NDArray[np.float64]

WANTED_POWER = 0.8
MOST_SEEDS = 100_000  # beyond that the answer is "not by more seeds"


def upper_p(e: Array) -> float:
    """One-sided p of "the mean is at most 0": the share of the 2^n patterns with Σ ±e ≥ Σ e.

    A pattern's sum is one of the first half's sums plus one of the second's: 2 · 2^(n/2) sums and
    a sorted search count all 2^n. Beyond 20 pairs (k + 1) / (m + 1) random patterns.
    """
    bound = e.sum() - 1e-9 * np.abs(e).sum()  # sums equal on paper are ties, as in sign_flip_p
    if len(e) > MAX_ENUMERATED:
        signs = np.random.default_rng(0).integers(0, 2, (MONTE_CARLO_FLIPS, len(e)), dtype=np.int8)
        extreme = int(np.count_nonzero((2 * signs - 1) @ e >= bound))
        return (extreme + 1) / (MONTE_CARLO_FLIPS + 1)
    half = len(e) // 2
    first, second = np.sort(_sums(e[:half])), _sums(e[half:])
    reached = len(first) - np.searchsorted(first, bound - second, side="left")
    return float(np.sum(reached)) / float(2 ** len(e))


def _sums(e: Array) -> Array:
    sums = np.zeros(1)
    for value in e:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def below_p(d: Array, size: float) -> float:
    """One-sided p of "the mean gain is at least `size`": small, if it is less than that."""
    return upper_p(size - d)


def equivalence_p(d: Array, size: float) -> float:
    """TOST: p of "the mean gain is -size or less, or size or more"; the larger of the two."""
    return max(upper_p(size - d), upper_p(d + size))


def equivalence_t(d: Array, size: float) -> float:
    """The same by Student's t."""
    if np.ptp(d) == 0:
        return 0.0 if abs(float(d[0])) < size else 1.0
    return float(ttost_paired(d, np.zeros_like(d), -size, size)[0])


def power(n: int, sd: float, size: float, comparisons: int, alpha: float) -> float:
    """The chance that a true gain of `size` survives Holm as the first of `comparisons`.

    That of the t-test with the standard deviation observed, at the largest p below
    alpha / comparisons that the exact test of n seeds can give; 0 where it can give none.
    """
    level = alpha / comparisons
    if n <= MAX_ENUMERATED:
        level = (math.ceil(level * 2 ** (n - 1)) - 1) / 2 ** (n - 1)
    if level <= 0:
        return 0.0
    if sd == 0 or size / sd * math.sqrt(n) > 30:  # beyond that it is 1 to all digits
        return 1.0
    # Two-sided: the wrong side adds nothing, and statsmodels may make it NaN.
    return float(TTestPower().power(size / sd, n, level / 2, alternative="larger"))


def seeds_for(sd: float, size: float, comparisons: int, alpha: float) -> int | None:
    """The fewest seeds with a power of 0.8; None if that takes more than 100 000."""

    def enough(n: int) -> bool:
        return power(n, sd, size, comparisons, alpha) >= WANTED_POWER

    exact = range(seeds_needed(comparisons, alpha), MAX_ENUMERATED + 1)  # its levels come in steps
    few = next(filter(enough, exact), None)
    if few is not None or not enough(MOST_SEEDS):
        return few
    low, high = max(exact.start, MAX_ENUMERATED + 1), MOST_SEEDS
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low


def rope(d: Array, size: float) -> tuple[float, float, float]:
    """P(gain > size), P(|gain| <= size), P(gain < -size), a posteriori.

    With the prior p(μ, σ) ∝ 1/σ the mean's posterior is t with n - 1 degrees of freedom, located at
    the sample's mean and scaled by sd / √n.
    """
    mean, sd = float(d.mean()), float(d.std(ddof=1))
    if np.ptp(d) == 0:
        above, below = float(mean > size), float(mean < -size)
    else:
        posterior = stats.t(df=len(d) - 1, loc=mean, scale=sd / math.sqrt(len(d)))
        above, below = float(posterior.sf(size)), float(posterior.cdf(-size))
    return above, 1 - above - below, below
