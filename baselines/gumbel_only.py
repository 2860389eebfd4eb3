"""Gumbel-softmax over one set of scores, learned with the model: no controller, no outer level.

AutoLoss has a controller, Gumbel noise and an outer level on validation; this keeps the noise alone
(Jang et al., ICLR 2017; Eq. 10 of the paper with alpha the same for every example), so that what
the other two bring can be seen. The scores take the gradient of the mixed training loss, Eq. 11:
they are drawn to the candidate that is smallest in value.
"""

from __future__ import annotations

from autoloss.methods.info import Info
from autoloss.methods.learned import Joint
from autoloss.methods.weighting import GlobalLogits, GumbelSoftmax, Temperature


class GumbelOnly(Joint):
    """Global scores under annealed Gumbel-softmax; tau as in AutoLoss."""

    info = Info(
        name="gumbel_only",
        label="Gumbel only",
        summary="global Gumbel-softmax weights, trained with the model",
        paper="Jang et al., Categorical Reparameterization with Gumbel-Softmax, ICLR 2017",
        fidelity=(
            (
                "scores",
                "§2.4",
                "the controller's, per example",
                "our reading",
                "a control: one per candidate",
            ),
            (
                "data",
                "§2.5",
                "V learns on validation data",
                "our reading",
                "a control: V learns with the model",
            ),
        ),
        weights="global",
        learns_on="training",
        options={
            "lr": 0.001,
            "tau_start": 1.0,
            "tau_slope": 0.00005,
            "tau_floor": 0.01,
            "tau_unit": "step",
        },
        choices={"tau_unit": ("step", "epoch")},
        tune={"lr": ("log", 0.0001, 0.1), "tau_slope": ("times", 0.1, 10.0)},
    )

    def build(self) -> None:
        """One score per candidate, all equal."""
        self.weighting = GlobalLogits(len(self.candidates))
        self.relaxation = GumbelSoftmax(Temperature.of(self.options, self.steps_per_epoch))
