"""DARTS (Liu et al., ICLR 2019) on loss weights: the paper's global bi-level baseline (§3.4).

The architecture parameters are one score per candidate, the "operations" the candidate losses:

    p = softmax(alpha)      min_alpha L_val(W - xi grad_W L_train(W, alpha), alpha)   (DARTS Eq. 7)

with Adam on alpha as published (3e-4, betas 0.5 and 0.999, weight decay 1e-3) and xi the learning
rate of W.

Deviations. The paper does not say how it adapted DARTS; L_val here is the mixture under alpha, as
in its own Eq. 12. An outer step every 7 inner ones, AutoLoss' schedule, not every one: outer steps
are part of the budget (`every: 1` gives DARTS' own). The gradient is exact; the published central
difference is `hypergradient: finite_difference`, whose second-order term is 0.1 to 4 % off here
(the model's ReLUs and the hinge have kinks). W takes the study's Adam, not SGD, and the study's
validation split, not half of the training data.
"""

from __future__ import annotations

from autoloss.learned import Learned
from autoloss.registry import Info
from autoloss.weighting import GlobalLogits, softmax


class DARTS(Learned):
    """Global softmax weights, one-step hypergradient on validation."""

    info = Info(
        name="darts",
        label="DARTS",
        summary="global softmax weights, exact one-step hypergradient on validation",
        paper="Liu et al., DARTS: Differentiable Architecture Search, ICLR 2019",
        weights="global",
        learns_on="validation",
        options={
            "every": 7,
            "lr": 0.0003,
            "betas": (0.5, 0.999),
            "weight_decay": 0.001,
            "xi_over_lr": 1.0,
            "hypergradient": "exact",
            "criterion": "mixture",
        },
        choices={
            "hypergradient": ("direct", "exact", "finite_difference"),
            "criterion": ("mixture", "ce"),
        },
        tune={"lr": ("log", 0.0001, 0.1), "every": ("choice", 1, 3, 7, 13)},
    )

    def build(self) -> None:
        """One score per candidate, all equal."""
        self.weighting = GlobalLogits(len(self.candidates))
        self.relaxation = softmax
