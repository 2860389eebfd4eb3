"""AutoLoss judged by cross-entropy: the upper criterion is a fixed loss, not the mixture of Eq. 12.

The direct term is then zero and the look-ahead step is the whole signal: the controller learns
which mixture, trained on, lowers the validation cross-entropy. A reading of ours, not the paper's.
"""

from __future__ import annotations

from autoloss.methods.autoloss import AutoLoss
from autoloss.methods.info import Info


class AutoLossCE(AutoLoss):
    """AutoLoss with upper criterion CE."""

    info = Info(
        name="autoloss_ce",
        label="AutoLoss (upper CE)",
        summary="AutoLoss with cross-entropy as the upper criterion",
        paper="variant of Zhao et al., AutoLoss, KDD 2021",
        fidelity=(
            (
                "upper criterion",
                "Eq. 12",
                "the mixed loss",
                {"criterion": "ce"},
                "cross-entropy",
                "M7",
            ),
        ),
        weights="per example",
        learns_on="validation",
        tables=("table_3", "controls"),
        base="autoloss",
        options={"criterion": "ce"},
    )
