"""Fixed weights by grid over the simplex: what plain search over global weights can reach.

Equal weights, and all weight vectors with entries 0, 1/k, ..., 1 that sum to 1, for the largest k
whose grid the search budget pays for; one whole training each, the best on validation trains every
seed. In the tuned protocol a point is one choice beside the model's learning rate, weight decay and
the losses' constants, searched together as every method's are: no grid over all of these is paid
for, so k is the largest with which each point can be tried three times.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import comb

from autoloss.errors import ConfigError
from autoloss.methods.fixed import Lab, Searched
from autoloss.methods.info import Info
from autoloss.search.tuning import tune

TIMES = 3  # that the tuned protocol can try a point, in the mean


class Grid(Searched):
    """Constant weights, the best of a grid."""

    info = Info(
        name="grid",
        label="Grid",
        summary="constant weights by grid search over the simplex",
        paper="Bergstra & Bengio, Random Search for Hyper-Parameter Optimization, JMLR 2012",
        fidelity=(
            (
                "weights",
                "§3.4",
                "searched over all the data, by BOHB",
                "our reading",
                "a control: every point of a grid; tuned, one dimension: a point",
            ),
        ),
        weights="global",
        learns_on="validation",
        searches=True,
        trials_per_candidate=1,
        options={"weights": ()},
    )

    @classmethod
    def search(cls, lab: Lab) -> None:
        """Train every point of the finest grid that the budget pays for, or tune among them."""
        n = len(lab.candidates)
        if lab.trials < size(n, 1):
            mend = f"give {size(n, 1)} or more: one for equal weights, one for each candidate alone"
            raise ConfigError("tuning.trials", f"is {lab.trials}", mend)
        points = list(grid(n, finest(n, lab.trials // TIMES if lab.space else lab.trials)))
        if lab.space:
            tune(lab, {"method.weights": ("choice", *points)})
            return
        for point in points:
            lab.train({"method.weights": point})


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
