"""SLF in the paper's transfer experiment (§3.5, Figure 3): a decision network trained elsewhere.

As `autoloss_frozen`: the network of SLF that learned with DeepFM on the source weighs the losses of
another model, or of another data set, and learns no more. Its gates are still drawn, at a
temperature that starts anew with the model they now train.
"""

from __future__ import annotations

from autoloss.methods.frozen import Frozen
from autoloss.methods.info import Info

from .slf import SLF


class SLFFrozen(Frozen, SLF):
    """SLF's weights, from a decision network that learned on another model or data set."""

    info = Info(
        name="slf_frozen",
        label="SLF-style (frozen)",
        summary="SLF's decision network, trained on another model or data set, held still",
        paper="Zhao et al., AutoLoss, KDD 2021, §3.5",
        fidelity=(
            (
                "controller",
                "§3.5",
                "SLF's, trained with DeepFM on Criteo, fixed, as AutoLoss'",
                "as written",
                "the same: run s takes that of run s",
                "F2",
            ),
        ),
        weights="per example",
        learns_on="nothing",
        tables=(),
        base="slf",
        frozen="slf",
        options={"controller": ""},
    )
