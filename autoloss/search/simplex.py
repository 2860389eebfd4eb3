"""Grids over the simplex of weights. Imports no torch: planning counts their points."""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

TIMES = 3  # that the tuned protocol can try a point, in the mean


def finest(n: int, points: int) -> int:
    """The largest k >= 1 whose grid has at most `points`."""
    k = 1
    while n > 1 and size(n, k + 1) <= points:
        k += 1
    return k


def size(n: int, k: int) -> int:
    """How many points `grid` gives: C(n+k-1, k), and equal weights where n does not divide k."""
    return comb(n + k - 1, k) + (k % n > 0)


def grid(n: int, k: int) -> Iterator[list[float]]:
    """Equal weights, then the other vectors of n multiples of 1/k that sum to 1."""
    equal = [1 / n] * n
    yield equal
    yield from (point for point in simplex(n, k) if point != equal)


def simplex(n: int, k: int) -> Iterator[list[float]]:
    """The C(n+k-1, k) vectors of n multiples of 1/k that sum to 1."""
    for counts in _compositions(n, k):
        yield [count / k for count in counts]


def _compositions(n: int, total: int) -> Iterator[list[int]]:
    if n == 1:
        yield [total]
        return
    for first in range(total, -1, -1):
        for rest in _compositions(n - 1, total - first):
            yield [first, *rest]
