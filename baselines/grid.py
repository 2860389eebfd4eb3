"""Fixed weights by grid over the simplex: what plain search over global weights can reach.

All weight vectors with entries 0, 1/k, ..., 1 that sum to 1, for the largest k whose grid the
search budget pays for; one whole training each, the best on validation trains every seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import comb
from typing import TYPE_CHECKING

from autoloss.errors import ConfigError
from autoloss.method import Searched
from autoloss.registry import Info

if TYPE_CHECKING:
    from autoloss.search.lab import Lab


class Grid(Searched):
    """Constant weights, the best of a grid."""

    info = Info(
        name="grid",
        label="Grid",
        summary="constant weights by grid search over the simplex",
        paper="Bergstra & Bengio, Random Search for Hyper-Parameter Optimization, JMLR 2012",
        weights="global",
        learns_on="validation",
        searches=True,
        trials_per_candidate=1,
        options={"weights": ()},
    )

    @classmethod
    def search(cls, lab: Lab) -> None:
        """Train every point of the finest grid that the budget pays for."""
        n = len(lab.candidates)
        if lab.trials < n:
            mend = f"give {n} or more: one for each candidate alone"
            raise ConfigError("tuning.trials", f"is {lab.trials}", mend)
        for point in simplex(n, finest(n, lab.trials)):
            lab.train({"method.weights": point})


def finest(n: int, points: int) -> int:
    """The largest k >= 1 such that the grid of n weights in steps of 1/k has at most `points`."""
    k = 1
    while n > 1 and comb(n + k, k + 1) <= points:
        k += 1
    return k


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
