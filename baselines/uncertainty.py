"""Uncertainty weighting (Kendall et al., CVPR 2018): global weights by learned noise levels.

One s_i per candidate, trained with the model; the loss of the whole is

    L = sum_i l_i / (2 exp(s_i)) + s_i / 2      s = -0.5 at the start

so that at rest exp(s_i) = l_i: a candidate's weight is the inverse of its value. Its weights do not
sum to 1, and it was made for different tasks: several losses of one label can merely be rescaled.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoloss.learned import Joint
from autoloss.registry import Info
from autoloss.weighting import GlobalLogits


class Uncertainty(Joint):
    """Weights 1 / (2 exp(s)), learned on the training batch."""

    info = Info(
        name="uncertainty",
        label="Uncertainty",
        summary="global weights by learned noise levels, trained with the model",
        paper="Kendall et al., Multi-Task Learning Using Uncertainty to Weigh Losses, CVPR 2018",
        weights="global",
        learns_on="training",
        tables=("controls",),
        simplex=False,
        options={"lr": 0.001},
        tune={"lr": ("log", 0.0001, 0.1)},
    )

    def build(self) -> None:
        """s."""
        self.weighting = GlobalLogits(len(self.candidates))
        torch.nn.init.constant_(self.weighting.scores, -0.5)
        self.relaxation = lambda s, draw: (-s).exp() / 2

    def weigh(
        self, labels: Tensor, logits: Tensor, t: int, role: str = "inner"
    ) -> tuple[Tensor, Tensor]:
        """The weighted losses and the penalty on s, scalar, and the weights `[n]`."""
        loss, weights = super().weigh(labels, logits, t, role)
        (s,) = self.weighting.parameters()
        return loss + s.sum() / 2, weights
