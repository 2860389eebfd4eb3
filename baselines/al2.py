"""AL-2 (paper §3.6): AutoLoss with plain softmax, no Gumbel noise and no temperature."""

from __future__ import annotations

from autoloss.autoloss import AutoLoss
from autoloss.registry import Info
from autoloss.weighting import softmax


class AL2(AutoLoss):
    """The controller's alpha are the weights."""

    info = Info(
        name="al2",
        label="AL-2",
        summary="AutoLoss without Gumbel-softmax",
        paper="Zhao et al., AutoLoss, KDD 2021, §3.6",
        weights="per example",
        learns_on="validation",
        tables=("table_3",),
        base="autoloss",
    )

    def build(self) -> None:
        """As AutoLoss, with another relaxation."""
        super().build()
        self.relaxation = softmax
