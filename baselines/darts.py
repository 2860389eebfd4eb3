"""DARTS (Liu et al., ICLR 2019) on loss weights: the paper's global bi-level baseline (§3.4).

The architecture parameters are one score per candidate, the "operations" the candidate losses:

    p = softmax(alpha)      min_alpha L_val(W - xi grad_W L_train(W, alpha), alpha)   (DARTS Eq. 7)

with Adam on alpha as published (3e-4, betas 0.5 and 0.999, weight decay 1e-3) and xi the learning
rate of W. DARTS' own is 0.025, falling to 0.001: at the model's 1e-3, `xi_over_lr: 25.0` and 1.0.

Deviations. The paper does not say how it adapted DARTS; L_val here is the mixture under alpha, as
in its own Eq. 12. An outer step after every 7 inner ones, AutoLoss' schedule, not after each: outer
steps are part of the budget (`every: 1` gives DARTS' own). The gradient is exact; the published
central difference is `hypergradient: finite_difference`, whose second-order term is 0.1 to 4 % off
here (the model's ReLUs and the hinge have kinks). W takes the study's Adam, not SGD; the look-ahead
has neither SGD's momentum nor weight decay, as the published code's has. Validation is the study's
split, not half of the training data.
"""

from __future__ import annotations

from autoloss.methods.info import Info
from autoloss.methods.learned import Learned
from autoloss.methods.weighting import GlobalLogits, softmax


class DARTS(Learned):
    """Global softmax weights, one-step hypergradient on validation."""

    info = Info(
        name="darts",
        label="DARTS",
        summary="global softmax weights, exact one-step hypergradient on validation",
        paper="Liu et al., DARTS: Differentiable Architecture Search, ICLR 2019",
        fidelity=(
            (
                "what is learned",
                "§3.4",
                "DARTS for loss weights, not said how",
                "our reading",
                "one score per candidate, softmax",
                "B1",
            ),
            (
                "objective",
                "DARTS, Eq. 7",
                "L_val(W - ξ ∇L_train(W, α), α)",
                "original's way",
                "the same: both losses are the mixture under α",
                "B1",
            ),
            (
                "another criterion",
                "DARTS, Eq. 7",
                "α in both losses",
                {"criterion": "ce"},
                "cross-entropy",
                "B1",
            ),
            (
                "optimiser of α",
                "DARTS, code",
                "Adam 3e-4, betas 0.5 and 0.999, weight decay 1e-3",
                "original's way",
                "the same",
                "B1",
            ),
            ("ξ", "DARTS, code", "the learning rate of W", "original's way", "the same", "M8"),
            ("first order", "DARTS, code", "ξ = 0", {"hypergradient": "direct"}, "the same", "M8"),
            (
                "second-order term",
                "DARTS, code",
                "a central difference",
                "no transfer",
                "exact: across ReLU's kinks the difference is off",
                "M13",
            ),
            (
                "as DARTS' code has it",
                "DARTS, code",
                "a central difference",
                {"hypergradient": "finite_difference"},
                "the same",
                "M13",
            ),
            (
                "outer steps",
                "DARTS, code",
                "one with every step on W",
                "our reading",
                "one in 7, as AutoLoss (§3.7)",
                "B3",
            ),
            (
                "optimiser of W",
                "§3.3",
                "Adam, learning rate 0.001",
                "as written",
                "the same, where DARTS has SGD",
            ),
        ),
        weights="global",
        learns_on="validation",
        tables=("table_2", "controls"),
        options={
            "every": 7,
            "lr": 0.0003,
            "betas": (0.5, 0.999),
            "weight_decay": 0.001,
            "xi_over_lr": 1.0,
            "hypergradient": "exact",
            "criterion": "mixture",
            "updates": "alternating",
            "look_ahead": "gradient",
        },
        choices={
            "hypergradient": ("direct", "exact", "finite_difference"),
            "criterion": ("mixture", "ce"),
            "updates": ("alternating", "simultaneous"),
            "look_ahead": ("gradient", "optimizer"),
        },
        tune={
            "lr": ("log", 0.0001, 0.1),
            "every": ("choice", 1, 3, 7, 13),
            "weight_decay": ("log", 1e-6, 1e-2),
            "xi_over_lr": ("log", 0.1, 1000.0),
        },
    )

    def build(self) -> None:
        """One score per candidate, all equal."""
        self.weighting = GlobalLogits(len(self.candidates))
        self.relaxation = softmax
