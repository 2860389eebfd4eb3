"""What a number of seeds can show at all, before any is run. Imports nothing but the language.

A sign-flip test with few seeds has a smallest possible p; if even that cannot survive Holm's
correction, no result could have been shown.
"""

from __future__ import annotations

from itertools import count


def smallest_p(n: int) -> float:
    """The smallest two-sided p that a sign-flip test of n pairs can give: 2^(1-n), at most 1."""
    return min(1.0, 2.0 ** (1 - n))


def can_be_significant(n: int, comparisons: int = 1, alpha: float = 0.05) -> bool:
    """Whether n seeds that all agree would survive Holm as the first of `comparisons`."""
    return smallest_p(n) * comparisons < alpha


def seeds_needed(comparisons: int = 1, alpha: float = 0.05) -> int:
    """The fewest seeds that can be significant: 6 for one comparison at 0.05, 11 for thirty."""
    if comparisons < 1 or not 0 < alpha < 1:
        raise ValueError(f"need comparisons >= 1 and 0 < alpha < 1, got {comparisons} and {alpha}")
    return next(n for n in count(2) if can_be_significant(n, comparisons, alpha))
