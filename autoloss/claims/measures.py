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
    """A column of the index, or the sum of some; `published` is its name in published.yaml.

    What is `counted`, not measured, decides as a number: there is nothing to test.
    """

    name: str
    label: str
    columns: Sequence[str]
    higher_is_better: bool
    log: bool = False
    counted: bool = False
    published: str = ""

    def gain(self, ours: float, other: float) -> float:
        """Ours against other, positive is better, in the units that are compared."""
        if self.log:
            ours, other = math.log(ours), math.log(other)
        return ours - other if self.higher_is_better else other - ours

    def text(self, gain: float) -> str:
        """A gain for the eye; of costs what ours costs, in times the other's."""
        return f"×{math.exp(-gain):.2f}" if self.log else f"{gain:+.4f}"


# Raw log loss says little of losses that are not calibrated, and seconds are those of whatever else
# the machine did: both are shown, and decide nothing.
DECIDING = ("auc", "logloss_calibrated")
PASSES = ("forward_examples", "backward_examples")
STATED = {"logloss_calibrated": "logloss"}  # the paper recalibrates nothing
MEASURES: dict[str, Measure] = {
    **{
        name: Measure(name, m.label, (name,), m.higher_is_better, published=STATED.get(name, name))
        for name, m in METRICS.items()
    },
    "seconds": Measure(
        "seconds", "Time", ("seconds", "search_seconds"), False, log=True, published="hours"
    ),
    "passes": Measure(
        *("passes", "Passes", (*PASSES, *(f"search_{p}" for p in PASSES)), False),
        log=True,
        counted=True,
        published="hours",
    ),
}
