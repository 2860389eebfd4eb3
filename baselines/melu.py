"""MeLU (Lee et al., KDD 2019) on loss weights: the paper's meta-learning baseline (§3.4).

MeLU is MAML for recommenders whose inner step adapts the decision layers only and leaves the
embeddings. Here what is learned is one score per candidate: the inner step trains the decision
layers with the weighted loss, the outer step lowers the validation loss after it,

    min_V L_val(W - xi grad_D L_train(W, V))      D: all layers above the embeddings

with L_val cross-entropy, a fixed task loss as in MAML, so that the look-ahead is the whole signal.
Rates as in the official code: inner 5e-6 (xi = 0.005 x the model's 1e-3), outer Adam 5e-5.

Deviations. The paper does not say how it adapted MeLU. One task, not one per user: the weights are
global. The gradient is exact to second order (the official code asks for that and loses it). An
outer step every 7 inner ones, AutoLoss' schedule.
"""

from __future__ import annotations

from autoloss.learned import Learned
from autoloss.registry import Info
from autoloss.weighting import GlobalLogits, softmax


class MeLU(Learned):
    """Global softmax weights, look-ahead over the decision layers."""

    info = Info(
        name="melu",
        label="MeLU",
        summary="global softmax weights by meta-learning through the decision layers",
        paper="Lee et al., MeLU: Meta-Learned User Preference Estimator, KDD 2019",
        weights="global",
        learns_on="validation",
        options={
            "every": 7,
            "lr": 0.00005,
            "xi_over_lr": 0.005,
            "hypergradient": "exact",
            "criterion": "ce",
        },
        choices={"hypergradient": ("exact", "finite_difference"), "criterion": ("mixture", "ce")},
        tune={
            "lr": ("log", 0.00005, 0.1),
            "xi_over_lr": ("log", 0.005, 1.0),
            "every": ("choice", 1, 3, 7, 13),
        },
    )
    decision_layers_only = True

    def build(self) -> None:
        """One score per candidate, all equal."""
        self.weighting = GlobalLogits(len(self.candidates))
        self.relaxation = softmax
