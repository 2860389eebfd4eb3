"""Meta-Weight-Net (Shu et al., NeurIPS 2019): weights from loss values, learned on validation.

A net with one hidden layer of 100 maps an example's loss to a weight in (0, 1) through a sigmoid.
Each step: a virtual training step under the weights, an Adam step (1e-3, weight decay 1e-4) on the
net against the unweighted meta loss after it (their Eq. 5-6), then the real step, by SGD. Both
steps have one rate, 0.1 at the start (`xi_over_lr: 100.0` at the model's 1e-3). Here

    p = sigmoid(V(l_1, ..., l_n))      n losses in, n weights out; meta loss: cross-entropy

The nearest relative of AutoLoss: it sees loss values instead of (y, y_hat), judges by a fixed loss,
and does not force the weights to sum to 1.

Deviations. The original weighs one loss, not n candidates; its clean meta set is the study's
validation split; the real step is the study's Adam's, and xi its rate.
"""

from __future__ import annotations

from torch import Tensor, nn

from autoloss.methods.examples import Examples
from autoloss.methods.info import Info
from autoloss.methods.learned import Learned


class MetaWeightNet(Learned):
    """Sigmoid weights from the candidates' values, one-step hypergradient on validation."""

    info = Info(
        name="meta_weight_net",
        label="Meta-Weight-Net",
        summary="per-example sigmoid weights from the loss values, learned on validation",
        paper="Shu et al., Meta-Weight-Net, NeurIPS 2019",
        fidelity=(
            (
                "net",
                "Meta-Weight-Net, code",
                "1-100-1, sigmoid, of an example's loss",
                "original's way",
                "n-100-n, of the n candidates' losses",
            ),
            (
                "steps",
                "Meta-Weight-Net, Eq. 5-6",
                "virtual step, the net's by the meta loss, real step",
                "original's way",
                "the same; meta loss: cross-entropy",
            ),
            (
                "optimiser of the net",
                "Meta-Weight-Net, code",
                "Adam 1e-3, weight decay 1e-4",
                "original's way",
            ),
            (
                "data",
                "Meta-Weight-Net, code",
                "1000 clean examples",
                "original's way",
                "the validation split",
            ),
        ),
        weights="per example",
        learns_on="validation",
        tables=("controls",),
        simplex=False,
        options={
            "every": 1,
            "lr": 0.001,
            "weight_decay": 0.0001,
            "xi_over_lr": 1.0,
            "hypergradient": "exact",
            "criterion": "ce",
            "updates": "alternating",
            "look_ahead": "gradient",
            "hidden": 100,
        },
        choices={
            "hypergradient": ("exact", "finite_difference"),
            "criterion": ("mixture", "ce"),
            "updates": ("alternating", "simultaneous"),
            "look_ahead": ("gradient", "optimizer"),
        },
        tune={
            "lr": ("log", 0.0001, 0.01),
            "every": ("choice", 1, 3, 7, 13),
            "weight_decay": ("log", 1e-6, 1e-2),
            "xi_over_lr": ("log", 0.1, 1000.0),
        },
    )

    def build(self) -> None:
        """The net n-100-n."""
        n, hidden = len(self.candidates), self.options["hidden"]
        self.weighting = nn.Sequential(
            nn.Linear(n, hidden), nn.ReLU(), nn.Linear(hidden, n), nn.Sigmoid()
        )
        self.relaxation = lambda weights, draw: weights

    def scores(self, examples: Examples) -> Tensor:
        """Weights `[B, n]`; the losses that the net reads are constants, as in the original."""
        weights: Tensor = self.weighting(examples.losses.detach())
        return weights
