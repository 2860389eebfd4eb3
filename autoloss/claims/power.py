"""What a design can find: the chance that a comparison is said to hold, by simulating the rules.

No formula: the sign-flip test of a few seeds has few levels, both tests must agree, and the
estimate must be large enough. Samples are normal, quasi-random; from a sample follows the least
true effect, in standard deviations, with which it would have been said to hold, so that one
simulation answers for every effect.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]

from autoloss.significance import seeds_needed

Array = NDArray[np.float64]

WANTED = 0.8
SAMPLES = 2048  # evenly spread: tests hold a share within 0.03 of an independent simulation's
MOST_ENUMERATED = 14  # seeds; with more the sign-flip test's distribution is expanded
MOST_SEEDS = 200  # beyond that the answer is "not by more seeds"


@dataclass(frozen=True)
class Design:
    """A comparison as the first of its family, whose true gains are normal.

    `sd` is the true standard deviation of a paired gain and `minimum` the least estimate that
    holds, in the metric's units; `comparisons` is the family's size, `test_to_train` as of
    `autoloss.stats.compare`.
    """

    sd: float
    minimum: float
    comparisons: int
    alpha: float
    test_to_train: float = 0.0

    def chance(self, effect: float, n: int) -> float:
        """The chance that a true gain, in the metric's units, is said to hold with n seeds."""
        if self.sd == 0:
            return float(effect >= self.minimum and effect > 0 and self._patterns(n) > 0)
        return float(np.mean(self._needed(n) <= effect / self.sd))

    def resolved(self, n: int) -> float | None:
        """The smallest true gain with a chance of 0.8; None where n seeds give it to no gain."""
        if self.sd == 0:
            return self.minimum if self._patterns(n) and math.isfinite(self.minimum) else None
        least = float(np.sort(self._needed(n))[math.ceil(WANTED * SAMPLES) - 1]) * self.sd
        return least if math.isfinite(least) else None

    def seeds_for(self, effect: float) -> int | None:
        """The fewest seeds that give a true gain a chance of 0.8; None if 200 do not."""

        def enough(n: int) -> bool:
            return self.chance(effect, n) >= WANTED

        least = seeds_needed(self.comparisons, self.alpha)
        few = next(filter(enough, range(least, MOST_ENUMERATED + 1)), None)
        if few is not None or not enough(MOST_SEEDS):
            return few
        low, high = max(least, MOST_ENUMERATED + 1), MOST_SEEDS
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if enough(middle) else (middle + 1, high)
        return low

    def _patterns(self, n: int) -> int:
        return _patterns(n, self.alpha / self.comparisons)

    def _needed(self, n: int) -> Array:
        """The least true effect with which each sample would hold [SAMPLES], in sd."""
        mean, by_tests = _tested(n, self.comparisons, self.alpha, self.test_to_train)
        needed: Array = np.maximum(by_tests, self.minimum / self.sd - mean)
        return needed


@cache
def _tested(n: int, comparisons: int, alpha: float, test_to_train: float) -> tuple[Array, Array]:
    """The mean of each sample, and the least true effect with which both tests find it."""
    uniform, level = _uniform(n + 1), alpha / comparisons
    shared = math.sqrt(test_to_train) * stats.norm.ppf(uniform[:, 0])  # by overlapping splits
    gains = stats.norm.ppf(uniform[:, 1:])
    mean, sd = gains.mean(axis=1), gains.std(axis=1, ddof=1)
    by_t = stats.t.isf(level / 2, n - 1) * sd * math.sqrt(1 / n + test_to_train) - mean
    if n > MOST_ENUMERATED:
        by_flips = _expanded(gains, level)
    else:
        patterns = _patterns(n, level)
        none = np.full(SAMPLES, np.inf)
        by_flips = _flipped(n, _patterns(n, alpha))[:, patterns - 1] if patterns else none
    return mean + shared, np.maximum(by_t, by_flips) - shared


def _expanded(gains: Array, level: float) -> Array:
    """The least effect [SAMPLES] that sign flips find in each of the `gains` [SAMPLES, n].

    Cornish and Fisher's expansion of the sum over all sign patterns, whose cumulants are those of
    the gains, effect included; so the effect is found by iteration, from Student's.
    """
    n, z = gains.shape[1], stats.norm.isf(level / 2)
    mean, sd = gains.mean(axis=1), gains.std(axis=1, ddof=1)
    effect = stats.t.isf(level / 2, n - 1) * sd / math.sqrt(n) - mean
    for _ in range(6):
        squares = (gains + effect[:, None]) ** 2
        total = squares.sum(axis=1)
        fourth = -2 * (squares**2).sum(axis=1) / total**2
        sixth = 16 * (squares**3).sum(axis=1) / total**3
        x = z + fourth * (z**3 - 3 * z) / 24 + sixth * (z**5 - 10 * z**3 + 15 * z) / 720
        x -= fourth**2 * (3 * z**5 - 24 * z**3 + 29 * z) / 384
        x = np.clip(x, 0, 0.995 * math.sqrt(n))  # of sum / root of the sum of squares, at most √n
        effect = x * np.sqrt((n - 1) / (n - x**2)) * sd / math.sqrt(n) - mean
    return np.asarray(effect)


def _uniform(dimensions: int) -> Array:
    """Points that fill the unit cube evenly [SAMPLES, dimensions], the same at every call."""
    points: Array = stats.qmc.Sobol(dimensions, rng=np.random.default_rng(0)).random(SAMPLES)
    return points


@cache
def _flipped(n: int, most: int) -> Array:
    """Of each sample the largest effects, falling, at which one more sign pattern drops out.

    A pattern reaches the observed sum if the gains that it flips, effect included, sum to 0 or
    less: if the effect is at most minus their mean. [SAMPLES, most].
    """
    gains = stats.norm.ppf(_uniform(n + 1)[:, 1:]).astype(np.float32)
    flips = (np.arange(1, 2**n)[:, None] >> np.arange(n) & 1).astype(np.float32)
    means = flips / flips.sum(axis=1, keepdims=True)
    parts = []
    for some in np.array_split(gains, max(1, SAMPLES * 2**n >> 20)):
        effects = -some @ means.T
        effects.partition(effects.shape[1] - most, axis=1)
        parts.append(np.sort(effects[:, -most:], axis=1)[:, ::-1])
    return np.concatenate(parts)


def _patterns(n: int, level: float) -> int:
    """How many of the 2^(n-1) sign patterns may reach the observed sum with p below `level`."""
    return math.ceil(level * 2.0 ** (n - 1)) - 1
