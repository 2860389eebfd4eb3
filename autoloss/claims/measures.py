"""What a claim can be about: a metric of the study, or a cost, as a logarithm.

Costs are compared as ratios: the gain of ours is ln(other) - ln(ours), 0.1 is about 10 % less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoloss.metrics import METRICS


@dataclass(frozen=True)
class Measure:
    """A column of the index, or the sum of some; `published` is its name in published.yaml."""

    name: str
    label: str
    columns: Sequence[str]
    higher_is_better: bool
    log: bool = False
    published: str = ""

    def gain(self, ours: float, other: float) -> float:
        """Ours against other, positive is better, in the units that are compared."""
        if self.log:
            ours, other = math.log(ours), math.log(other)
        return ours - other if self.higher_is_better else other - ours


PASSES = ("forward_examples", "backward_examples")
MEASURES: dict[str, Measure] = {
    **{
        name: Measure(name, m.label, (name,), m.higher_is_better, published=name)
        for name, m in METRICS.items()
    },
    "seconds": Measure(
        "seconds", "ln time", ("seconds", "search_seconds"), False, log=True, published="hours"
    ),
    "passes": Measure(
        "passes", "ln passes", (*PASSES, *(f"search_{p}" for p in PASSES)), False, log=True
    ),
}
