"""Whether our numbers have the pattern of the paper's: one metric on one data set and model.

Ours are of other data unless the paper's own were prepared, so not the numbers are compared but the
order of the methods (Spearman's rank correlation) and the signs of our method's gains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import nan

import pandas as pd
from scipy import stats

from autoloss.metrics import Metric
from autoloss.report.published import Key

Values = Mapping[Key, float]


@dataclass(frozen=True)
class Pair:
    """The paper's values and ours by method; `own` is ours, the one that gains are of."""

    metric: Metric
    paper: Values
    ours: Values
    own: Key
    precision: float

    @property
    def shared(self) -> list[Key]:
        """What both have, in the paper's order."""
        return [key for key in self.paper if not pd.isna(self.ours.get(key, nan))]

    @property
    def correlation(self) -> float:
        """Spearman's, of the two orders; nan for fewer than three methods or for equal values."""
        pairs = [[values[key] for key in self.shared] for values in (self.paper, self.ours)]
        if len(self.shared) < 3 or any(len(set(values)) == 1 for values in pairs):
            return nan
        return float(stats.spearmanr(*pairs).statistic)

    def gains(self, key: Key) -> tuple[float, float]:
        """Of our method over `key`, in the paper and here; nan where there is no such number."""
        if key == self.own:
            return nan, nan
        paper, ours = (
            self.metric.gain(values.get(self.own, nan), values.get(key, nan))
            for values in (self.paper, self.ours)
        )
        return paper, ours

    def same_sign(self, key: Key) -> bool | None:
        """Whether both gains have one sign; None where one is missing, or the paper's so small
        that its precision leaves its sign open."""
        paper, ours = self.gains(key)
        if pd.isna(ours) or not abs(paper) > 2 * self.precision:
            return None
        return paper * ours > 0

    @property
    def signs(self) -> tuple[int, int]:
        """How many of the paper's signs ours has, and of how many."""
        known = [same for same in map(self.same_sign, self.shared) if same is not None]
        return sum(known), len(known)
