"""AL-1 (paper §3.6): all candidates at equal weight, no controller."""

from __future__ import annotations

from collections.abc import Mapping

from autoloss.method import FixedWeights
from autoloss.registry import Info


class AL1(FixedWeights):
    """Weight 1/n on each of the n candidates: 1/4 on the paper's four."""

    info = Info(
        name="al1",
        label="AL-1",
        summary="all candidates at equal weight",
        paper="Zhao et al., AutoLoss, KDD 2021, §3.6",
        weights="global",
        learns_on="nothing",
        tables=("table_3",),
    )

    def constants(self) -> Mapping[str, float]:
        """Equal weights by candidate name, whichever the candidates are."""
        names = self.candidates.names
        return dict.fromkeys(names, 1 / len(names))
