"""AL-1 (paper §3.6): all candidates at equal weight, no controller."""

from __future__ import annotations

from autoloss.method import FixedWeights
from autoloss.registry import Info


class AL1(FixedWeights):
    """Weight 1/4 on each of the paper's four candidates."""

    info = Info(
        name="al1",
        label="AL-1",
        summary="all candidates at equal weight",
        paper="Zhao et al., AutoLoss, KDD 2021, §3.6",
        weights="global",
        learns_on="nothing",
        tables=("table_3",),
    )
    constant = {"focal": 0.25, "kl": 0.25, "hinge": 0.25, "ce": 0.25}
