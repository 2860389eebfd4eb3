"""AL-1 (paper §3.6): all candidates at equal weight, no controller."""

from __future__ import annotations

from collections.abc import Mapping

from autoloss.methods.fixed import FixedWeights
from autoloss.methods.info import Info


class AL1(FixedWeights):
    """Weight 1/n on each of the n candidates: 1/4 on the paper's four."""

    info = Info(
        name="al1",
        label="AL-1",
        summary="all candidates at equal weight",
        paper="Zhao et al., AutoLoss, KDD 2021, §3.6",
        fidelity=(("weights", "§3.6", "0.25 on each candidate, no controller", "as written"),),
        weights="global",
        learns_on="nothing",
        tables=("table_3",),
    )

    def constants(self) -> Mapping[str, float]:
        """Equal weights by candidate name, whichever the candidates are."""
        names = self.candidates.names
        return dict.fromkeys(names, 1 / len(names))
