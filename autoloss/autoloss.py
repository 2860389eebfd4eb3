"""AutoLoss (Zhao et al., KDD 2021): a controller picks, per example, the loss that trains the DRS.

The controller sees (y, y_hat) and scores the candidates (§2.4); Gumbel-softmax turns scores into
weights (Eq. 10); every f = 7 steps (§3.7) one Adam step lowers the validation loss after a
look-ahead training step (Eq. 12-13, Algorithm 1). Open choices are listed in docs/deviations.md.
"""

from __future__ import annotations

from autoloss.learned import Learned
from autoloss.registry import Info
from autoloss.weighting import Controller, GumbelSoftmax, Temperature


class AutoLoss(Learned):
    """The paper's method; `AutoLoss(task, options={...})` trains any model, see the README."""

    info = Info(
        name="autoloss",
        label="AutoLoss",
        summary="controller on (y, ŷ), Gumbel-softmax, exact one-step hypergradient on validation",
        paper="Zhao et al., AutoLoss, KDD 2021",
        weights="per example",
        learns_on="validation",
        tables=("table_2", "table_3", "controls"),
        options={
            "every": 7,
            "lr": 0.001,
            "xi_over_lr": 1.0,
            "hypergradient": "exact",
            "criterion": "mixture",
            "updates": "simultaneous",
            "hidden": (128, 128),
            "dropout": 0.2,
            "detach": True,
            "straight_through": False,
            "tau_start": 1.0,
            "tau_slope": 0.91685,
            "tau_floor": 0.01,
            "tau_unit": "epoch",
        },
        choices={
            "hypergradient": ("direct", "exact", "finite_difference"),
            "criterion": ("mixture", "ce"),
            "updates": ("simultaneous", "alternating"),
            "tau_unit": ("epoch", "step"),
        },
        tune={
            "lr": ("log", 0.0001, 0.01),
            "every": ("choice", 1, 3, 7, 13),
            "tau_slope": ("log", 0.1, 3.0),
        },
    )

    def build(self) -> None:
        """The controller, and Gumbel-softmax under the annealed temperature."""
        o = self.options
        self.weighting = Controller(
            self.task,
            len(self.candidates),
            hidden=o["hidden"],
            dropout=o["dropout"],
            detach=o["detach"],
        )
        unit = self.steps_per_epoch if o["tau_unit"] == "epoch" else 1
        temperature = Temperature(o["tau_start"], o["tau_slope"], o["tau_floor"], unit)
        self.relaxation = GumbelSoftmax(temperature, o["straight_through"])
