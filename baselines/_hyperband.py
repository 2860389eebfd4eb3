"""Hyperband (Li et al., JMLR 2018, Algorithm 1): how many points to try, and how long."""

from __future__ import annotations

from typing import Any, Protocol


class Points(Protocol):
    """What can be tried."""

    def propose(self) -> Any:
        """A point to try."""

    def train(self, point: Any, epochs: int) -> float:
        """The value of a point after so many epochs, higher is better."""


def brackets(max_epochs: int, eta: int = 3) -> list[list[tuple[int, int]]]:
    """Hyperband's schedule: per bracket, the (trials, epochs) of each of its rungs.

    n = ceil((s_max + 1) eta^s / (s + 1)) trials start with max_epochs eta^-s epochs; each rung
    keeps one in eta and gives it eta times as many.
    """
    s_max = 0
    while eta ** (s_max + 1) <= max_epochs:
        s_max += 1
    schedule = []
    for s in range(s_max, -1, -1):
        n = -(-(s_max + 1) * eta**s // (s + 1))
        schedule.append([(n // eta**i, max_epochs * eta**i // eta**s) for i in range(s + 1)])
    return schedule


def successive_halving(points: Points, bracket: list[tuple[int, int]]) -> None:
    """Train as many points as a bracket begins with, the best part of them longer, and so on."""
    (begun, epochs), *longer = bracket
    rung = []
    for _ in range(begun):
        point = points.propose()
        rung.append((points.train(point, epochs), point))
    for kept, epochs in longer:
        best = sorted(rung, key=lambda item: -item[0])[:kept]
        rung = [(points.train(point, epochs), point) for _, point in best]
