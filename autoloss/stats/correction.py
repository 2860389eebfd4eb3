"""Many comparisons at once: Holm's correction, and what a number of seeds can show at all.

The paper's tables hold some thirty comparisons, each starred at p < 0.05 on its own. Holm keeps
the chance of *any* false star in a family below alpha. An exact test with few seeds has a
smallest possible p; if even that cannot survive the correction, no result could have been shown.
"""

from __future__ import annotations

from itertools import count

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjusted p-values; NaN (no test was made) stays NaN and is not counted."""
    raw = np.asarray(p, dtype=np.float64)
    tested = ~np.isnan(raw)
    if np.any((raw[tested] < 0) | (raw[tested] > 1)):
        raise ValueError("a p-value lies outside 0..1")
    # As statsmodels' multipletests, which collects the whole process's garbage at every call.
    found = raw[tested]
    order = np.argsort(found)
    steps = np.maximum.accumulate(found[order] * np.arange(len(found), 0, -1))
    found[order] = np.minimum(steps, 1)
    adjusted = np.full_like(raw, np.nan)
    adjusted[tested] = found
    return adjusted


def smallest_p(n: int) -> float:
    """The smallest two-sided p an exact sign-flip test of n pairs can give: 2^(1-n), at most 1."""
    return min(1.0, 2.0 ** (1 - n))


def can_be_significant(n: int, comparisons: int = 1, alpha: float = 0.05) -> bool:
    """Whether n seeds that all agree would survive Holm as the first of `comparisons`."""
    return smallest_p(n) * comparisons < alpha


def seeds_needed(comparisons: int = 1, alpha: float = 0.05) -> int:
    """The fewest seeds that can be significant: 6 for one comparison at 0.05, 11 for thirty."""
    if comparisons < 1 or not 0 < alpha < 1:
        raise ValueError(f"need comparisons >= 1 and 0 < alpha < 1, got {comparisons} and {alpha}")
    return next(n for n in count(2) if can_be_significant(n, comparisons, alpha))
