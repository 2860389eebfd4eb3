"""Uncertainty weighting (Kendall et al., CVPR 2018): global weights by learned noise levels.

One s_i = log sigma_i^2 per candidate, trained with the model; the loss of the whole is, in their
form for classification (l / sigma^2 + log sigma),

    L = sum_i exp(-s_i) l_i + s_i / 2      s = -0.5 at the start

so that at rest exp(s_i) = 2 l_i: a candidate's weight is half the inverse of its value.

Deviations. Its weights do not sum to 1, and it was made for different tasks: several losses of one
label can merely be rescaled. Of the candidates only cross-entropy is the likelihood that the form
is derived from. The start is a known re-implementation's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoloss.methods.examples import Examples
from autoloss.methods.info import Info
from autoloss.methods.learned import Joint
from autoloss.methods.weighting import GlobalLogits


class Uncertainty(Joint):
    """Weights exp(-s), learned on the training batch."""

    info = Info(
        name="uncertainty",
        label="Uncertainty",
        summary="global weights by learned noise levels, trained with the model",
        paper="Kendall et al., Multi-Task Learning Using Uncertainty to Weigh Losses, CVPR 2018",
        fidelity=(
            (
                "objective",
                "Kendall et al.",
                "l / σ² + log σ for classification",
                "original's way",
                "the same, for every candidate",
            ),
            ("start", "LibMTL, code", "log σ² = -0.5", "original's way"),
        ),
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
        self.relaxation = lambda s, draw: (-s).exp()

    def weigh(self, examples: Examples, t: int, role: str = "inner") -> tuple[Tensor, Tensor]:
        """The weighted losses and the penalty on s, scalar, and the weights `[n]`."""
        loss, weights = super().weigh(examples, t, role)
        (s,) = self.weighting.parameters()
        return loss + s.sum() / 2, weights
