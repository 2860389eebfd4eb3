"""AutoLoss (Zhao et al., KDD 2021): a controller picks, per example, the loss that trains the DRS.

The controller sees (y, y_hat) and scores the candidates (§2.4); Gumbel-softmax turns scores into
weights (Eq. 10); after every f = 7 steps (§3.7) one Adam step lowers the validation loss after a
look-ahead training step (Eq. 12-13, Algorithm 1). Open choices are listed in docs/deviations.md.
"""

from __future__ import annotations

from autoloss.methods.info import Info
from autoloss.methods.learned import Learned
from autoloss.methods.weighting import Controller, GumbelSoftmax, Temperature


class AutoLoss(Learned):
    """The paper's method; `AutoLoss(task, options={...})` trains any model, see the README."""

    info = Info(
        name="autoloss",
        label="AutoLoss",
        summary="controller on (y, ŷ), Gumbel-softmax, exact one-step hypergradient on validation",
        paper="Zhao et al., AutoLoss, KDD 2021",
        fidelity=(
            (
                "the controller's input",
                "§2.4, Fig. 1",
                "label y and output ŷ, no features, no losses",
                "as written",
                "the same; with 5 classes one-hot and softmax",
                "M11",
            ),
            (
                "the controller's net",
                "§3.3",
                "2 layers of 128, batch norm, dropout 0.2, ReLU",
                "as written",
            ),
            (
                "weights",
                "Eq. 10-11",
                "Gumbel-softmax of the scores, in its soft form",
                "as written",
                "the same",
                "M5",
            ),
            (
                "hard weights",
                "§2.3",
                "Gumbel-softmax is called straight-through",
                {"straight_through": True},
                "one candidate forward, gradients of the soft form",
                "M5",
            ),
            (
                "temperature",
                "§3.3",
                "max(0.01, 1 - 0.00005 t), t the training step",
                "as written",
                "the same",
                "M9",
            ),
            (
                "temperature by epoch",
                "§3.3",
                "t is the training step",
                {"tau_unit": "epoch"},
                "t is the share of an epoch of Criteo",
                "M9",
            ),
            (
                "upper criterion",
                "Eq. 12",
                "the mixed loss on validation data",
                "as written",
                "the same",
                "M7",
            ),
            (
                "another criterion",
                "Eq. 12",
                "the mixed loss",
                {"criterion": "ce"},
                "cross-entropy",
                "M7",
            ),
            (
                "look-ahead",
                "Eq. 13",
                "W - ξ ∇L_train, one step",
                "as written",
                "its exact hypergradient",
                "M8",
            ),
            (
                "look-ahead by the optimiser",
                "Eq. 13",
                "ξ ∇L_train",
                {"look_ahead": "optimizer"},
                "Adam's own step, its moments held still",
                "M8",
            ),
            ("ξ", "DARTS, code", "the learning rate of W", "original's way", "the same", "M8"),
            (
                "ξ = 0",
                "§2.5",
                "offered as the cheap choice",
                {"hypergradient": "direct"},
                "the same",
                "M8",
            ),
            (
                "second-order term",
                "DARTS, code",
                "a central difference",
                {"hypergradient": "finite_difference"},
                "the same",
                "M13",
            ),
            (
                "order of the steps",
                "Algorithm 1",
                "one on V, then one on W under the new V",
                "as written",
                "the same",
                "M14",
            ),
            (
                "both steps at one point",
                "Algorithm 1",
                "V, then W",
                {"updates": "simultaneous"},
                "W by the look-ahead's gradient, under the old V",
                "M14",
            ),
            (
                "frequency",
                "§3.7",
                "V once after every 7 steps on W",
                "as written",
                "the same",
                "M14",
            ),
            ("optimiser of V", "§3.3", "Adam, learning rate 0.001", "as written"),
            ("stages", "Algorithm 1", "one: W and V together, no training anew", "as written"),
            (
                "gradient through ŷ",
                "§2.4",
                "not said",
                "our reading",
                "none: ŷ is detached before the controller",
                "M6",
            ),
            ("ŷ attached", "§2.4", "not said", {"detach": False}, "gradients flow through ŷ", "M6"),
            (
                "dropout and batch norm outside of V's step",
                "§3.3",
                "not said",
                "our reading",
                "training mode throughout",
                "M10",
            ),
        ),
        weights="per example",
        learns_on="validation",
        tables=("table_2", "table_3", "controls"),
        options={
            "every": 7,
            "lr": 0.001,
            "xi_over_lr": 1.0,
            "hypergradient": "exact",
            "criterion": "mixture",
            "updates": "alternating",
            "look_ahead": "gradient",
            "hidden": (128, 128),
            "dropout": 0.2,
            "detach": True,
            "straight_through": False,
            "tau_start": 1.0,
            "tau_slope": 0.00005,
            "tau_floor": 0.01,
            "tau_unit": "step",
        },
        choices={
            "hypergradient": ("direct", "exact", "finite_difference"),
            "criterion": ("mixture", "ce"),
            "updates": ("alternating", "simultaneous"),
            "look_ahead": ("gradient", "optimizer"),
            "tau_unit": ("step", "epoch"),
        },
        tune={
            "lr": ("log", 0.0001, 0.01),
            "every": ("choice", 1, 3, 7, 13),
            "xi_over_lr": ("log", 0.1, 1000.0),
            "tau_slope": ("times", 0.1, 10.0),
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
        temperature = Temperature.of(o, self.steps_per_epoch)
        self.relaxation = GumbelSoftmax(temperature, o["straight_through"])
