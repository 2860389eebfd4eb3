"""The paper's transfer experiment (§3.5, Figure 3): AutoLoss with a controller trained elsewhere.

A controller is trained with one model on one data set, then weighs the losses of another model, or
of another data set, and learns no more. Run s takes the controller of run s. The paper does not say
how: here its parameters are held still, it has no dropout, batch norm uses the batch at hand (as in
its training), and Gumbel noise and temperature start anew with the model they now train.
"""

from __future__ import annotations

from autoloss.methods.autoloss import AutoLoss
from autoloss.methods.frozen import Frozen
from autoloss.methods.info import Info


class AutoLossFrozen(Frozen, AutoLoss):
    """AutoLoss' weights, from a controller that learned on another model or data set."""

    info = Info(
        name="autoloss_frozen",
        label="AutoLoss (frozen)",
        summary="a controller trained on another model or data set, held still",
        paper="Zhao et al., AutoLoss, KDD 2021, §3.5",
        fidelity=(
            (
                "controller",
                "§3.5",
                "DeepFM's on Criteo, fixed, with other models and on Avazu",
                "as written",
                "the same: run s takes that of run s",
                "F1",
            ),
            (
                "noise, temperature, dropout, batch norm",
                "§3.5",
                "not said",
                "our reading",
                "noise on, τ starts anew, no dropout, batch norm over the batch",
                "F1",
            ),
        ),
        weights="per example",
        learns_on="nothing",
        tables=(),
        base="autoloss",
        frozen="autoloss",
        options={"controller": ""},
    )
