"""The best constant mixture: grid's points, then ever finer ones around the best of them.

Grid gives each point the epochs of a whole training and is done when early stopping has ended all.
What that leaves of the budget is spent here: from the best point so far, weight moves from one
candidate to another by half the grid's step; where no move is better, the step is halved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations

from autoloss.methods.fixed import Lab
from autoloss.methods.info import Info
from autoloss.search.simplex import finest, grid

from .grid import Grid

LEAST = 1 / 64  # steps below it are within the noise of a validation split


class RefinedGrid(Grid):
    """Constant weights, the best of a grid and of what lies around it."""

    info = Info(
        name="refined_grid",
        label="Best mixture",
        summary="constant weights by grid search, refined around the best",
        paper="Hooke & Jeeves, Direct Search, JACM 1961",
        fidelity=(
            (
                "weights",
                "§3.4",
                "searched over all the data, by BOHB",
                "our reading",
                "a control: what any constant mixture can reach",
            ),
        ),
        weights="global",
        learns_on="validation",
        tables=(),
        base="grid",
        searches=True,
        trials_per_candidate=1,
    )

    @classmethod
    def search(cls, lab: Lab) -> None:
        """Grid's points, then their refinement until the budget is spent."""
        super().search(lab)
        if lab.space:  # tuned with other options: a point is one dimension of them
            return
        n = len(lab.candidates)
        k = finest(n, lab.trials)
        values = {tuple(point): lab.train({"method.weights": point}) for point in grid(n, k)}
        best, step = max(values, key=values.__getitem__), 1 / (2 * k)
        while step >= LEAST:
            for point in neighbours(best, step):
                if point not in values:
                    values[point] = lab.train({"method.weights": list(point)})
            better = max(values, key=values.__getitem__)
            best, step = better, step if better != best else step / 2


def neighbours(point: Sequence[float], step: float) -> Iterator[tuple[float, ...]]:
    """Where `step` of weight has moved from one candidate to another; none goes below 0."""
    for giver, taker in permutations(range(len(point)), 2):
        if point[giver] >= step:
            moved = list(point)
            moved[giver] -= step
            moved[taker] += step
            yield tuple(moved)
