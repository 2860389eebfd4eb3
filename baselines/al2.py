"""AL-2 (paper §3.6): AutoLoss with plain softmax, no Gumbel noise and no temperature."""

from __future__ import annotations

from autoloss.methods.autoloss import AutoLoss
from autoloss.methods.info import Info
from autoloss.methods.weighting import softmax


class AL2(AutoLoss):
    """The controller's alpha are the weights."""

    info = Info(
        name="al2",
        label="AL-2",
        summary="AutoLoss without Gumbel-softmax",
        paper="Zhao et al., AutoLoss, KDD 2021, §3.6",
        fidelity=(
            ("weights", "§3.6", "the controller's softmax, no Gumbel-softmax", "as written"),
        ),
        weights="per example",
        learns_on="validation",
        tables=("table_3",),
        base="autoloss",
        untuned={"tau_slope": "plain softmax has no temperature"},
    )

    def build(self) -> None:
        """As AutoLoss, with another relaxation."""
        super().build()
        self.relaxation = softmax
