"""Gumbel-softmax over one set of scores, learned with the model: no controller, no outer level.

AutoLoss has a controller, Gumbel noise and an outer level on validation; this keeps the noise alone
(Jang et al., ICLR 2017; Eq. 10 of the paper with alpha the same for every example), so that what
the other two bring can be seen. The scores take the gradient of the mixed training loss, Eq. 11:
they are drawn to the candidate that is smallest in value.
"""

from __future__ import annotations

from autoloss.learned import Joint
from autoloss.registry import Info
from autoloss.weighting import GlobalLogits, GumbelSoftmax, Temperature


class GumbelOnly(Joint):
    """Global scores under annealed Gumbel-softmax; tau as in AutoLoss, per epoch."""

    info = Info(
        name="gumbel_only",
        label="Gumbel only",
        summary="global Gumbel-softmax weights, trained with the model",
        paper="Jang et al., Categorical Reparameterization with Gumbel-Softmax, ICLR 2017",
        weights="global",
        learns_on="training",
        options={"lr": 0.001, "tau_start": 1.0, "tau_slope": 0.91685, "tau_floor": 0.01},
        tune={"lr": ("log", 0.0001, 0.1), "tau_slope": ("log", 0.1, 3.0)},
    )

    def build(self) -> None:
        """One score per candidate, all equal."""
        o = self.options
        self.weighting = GlobalLogits(len(self.candidates))
        self.relaxation = GumbelSoftmax(
            Temperature(o["tau_start"], o["tau_slope"], o["tau_floor"], self.steps_per_epoch)
        )
