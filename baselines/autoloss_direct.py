"""AutoLoss with xi = 0, the first-order choice that the paper offers (§2.5).

The controller's gradient is then sum_i dp_i/dV l_i: it learns to pick the candidate that is
smallest in value, whatever that does to the model.
"""

from __future__ import annotations

from autoloss.methods.autoloss import AutoLoss
from autoloss.methods.info import Info


class AutoLossDirect(AutoLoss):
    """AutoLoss without the look-ahead step."""

    info = Info(
        name="autoloss_direct",
        label="AutoLoss (ξ = 0)",
        summary="AutoLoss with the first-order hypergradient",
        paper="Zhao et al., AutoLoss, KDD 2021, §2.5",
        fidelity=(
            (
                "ξ = 0",
                "§2.5",
                "offered as the cheap choice",
                {"hypergradient": "direct"},
                "the same",
                "M8",
            ),
        ),
        weights="per example",
        learns_on="validation",
        tables=("table_3",),
        base="autoloss",
        options={"hypergradient": "direct"},
    )
