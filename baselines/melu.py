"""MeLU (Lee et al., KDD 2019) on loss weights: the paper's meta-learning baseline (§3.4).

MeLU is MAML for recommenders whose inner step adapts the decision layers only and leaves the
embeddings. Here what is learned is one score per candidate: the inner step trains the decision
layers with the weighted loss, the outer step lowers the validation loss after it,

    min_V L_val(W - xi grad_D L_train(W, V))      D: all layers above the embeddings

with L_val cross-entropy, a fixed task loss as in MAML, so that the look-ahead is the whole signal.

Deviations. MeLU-style: the paper does not say how it adapted MeLU, which adapts the models of users
and weighs no losses. One task, not one per user: the weights are global. The rates of its official
code (`baselines/melu_published.py`) cannot move a score: xi is the model's rate, as for DARTS and
AutoLoss, and Adam's rate 0.01, with which a score can move by 1 in a hundred outer steps. The
gradient is exact to second order (the official code asks for that and loses it). An outer step
after every 7 inner ones, AutoLoss' schedule.
"""

from __future__ import annotations

from autoloss.methods.info import Info
from autoloss.methods.learned import Learned
from autoloss.methods.weighting import GlobalLogits, softmax


class MeLU(Learned):
    """Global softmax weights, look-ahead over the decision layers."""

    info = Info(
        name="melu",
        label="MeLU-style",
        summary="global softmax weights by meta-learning through the decision layers",
        paper="Lee et al., MeLU: Meta-Learned User Preference Estimator, KDD 2019",
        fidelity=(
            (
                "what is learned",
                "§3.4",
                "MeLU for loss weights, not said how",
                "our reading",
                "one score per candidate, softmax",
                "B2",
            ),
            (
                "inner step",
                "MeLU, code",
                "one gradient step, on the layers above the embeddings",
                "original's way",
                "the same",
                "B2",
            ),
            (
                "outer loss",
                "MeLU, code",
                "a fixed loss of the task",
                "original's way",
                "cross-entropy",
                "B2",
            ),
            (
                "another criterion",
                "MeLU, code",
                "a fixed loss",
                {"criterion": "mixture"},
                "the mixture of Eq. 12",
                "B2",
            ),
            (
                "order of the gradient",
                "MeLU, code",
                "asks for the second, and loses it by a copy",
                "original's way",
                "exact, second order",
            ),
            (
                "rates",
                "MeLU, code",
                "inner 5e-6, outer 5e-5: they adapt a user's model",
                "no transfer",
                "rates that move loss weights",
                "B2",
            ),
            (
                "tasks",
                "MeLU, code",
                "a user each, 32 a batch",
                "no transfer",
                "one: the weights are global",
                "B2",
            ),
            (
                "outer steps",
                "MeLU, code",
                "one for each inner step",
                "our reading",
                "one in 7, as AutoLoss (§3.7)",
                "B3",
            ),
        ),
        weights="global",
        learns_on="validation",
        tables=("table_2", "controls"),
        options={
            "every": 7,
            "lr": 0.01,
            "xi_over_lr": 1.0,
            "hypergradient": "exact",
            "criterion": "ce",
            "updates": "alternating",
            "look_ahead": "gradient",
        },
        choices={
            "hypergradient": ("exact", "finite_difference"),
            "criterion": ("mixture", "ce"),
            "updates": ("alternating", "simultaneous"),
            "look_ahead": ("gradient", "optimizer"),
        },
        tune={
            "lr": ("log", 0.00005, 0.1),
            "xi_over_lr": ("log", 0.005, 1000.0),
            "every": ("choice", 1, 3, 7, 13),
        },
    )
    decision_layers_only = True

    def build(self) -> None:
        """One score per candidate, all equal."""
        self.weighting = GlobalLogits(len(self.candidates))
        self.relaxation = softmax
