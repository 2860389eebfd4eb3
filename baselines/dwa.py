"""DWA, dynamic weight average (Liu et al., CVPR 2019): global weights by how fast losses fall.

From the third epoch on, with L_i(e) the mean of candidate i over epoch e (their Eq. 7),

    w = n softmax(r / T)      r_i = L_i(e-1) / L_i(e-2),  T = 2

and 1 before. No gradient. Made for different tasks: four losses of one label fall together, and the
weights stay near 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoloss.methods.contract import Method, Step
from autoloss.methods.examples import Examples
from autoloss.methods.info import Info
from autoloss.seeds import Draw


class DWA(Method):
    """Weights by the candidates' means over the last two epochs of training."""

    info = Info(
        name="dwa",
        label="DWA",
        summary="global weights by how fast each loss fell in the last two epochs",
        paper="Liu et al., End-to-End Multi-Task Learning with Attention, CVPR 2019",
        fidelity=(
            (
                "weights",
                "DWA, Eq. 7",
                "n softmax(r / 2), r how the last two epochs' losses fell",
                "original's way",
            ),
        ),
        weights="global",
        learns_on="training",
        tables=("controls",),
        simplex=False,
        options={"temperature": 2.0},
        tune={"temperature": ("log", 0.5, 10.0)},
    )
    current: Tensor
    history: Tensor

    def build(self) -> None:
        """The weights, and the sums of the losses over this epoch and the two before it."""
        n = len(self.candidates)
        self.register_buffer("current", torch.ones(n))
        self.register_buffer("history", torch.zeros(3, n))

    def weights(self, examples: Examples, draw: Draw) -> Tensor:
        """The current weights, `[n]`."""
        return self.current

    def weigh(self, examples: Examples, t: int, role: str = "inner") -> tuple[Tensor, Tensor]:
        """As for any method; the losses are added to this epoch's."""
        self.history[0] += examples.losses.detach().mean(dim=0)
        return super().weigh(examples, t, role)

    def before_step(self, step: Step) -> bool:
        """At the start of an epoch, weights from the two before."""
        epoch, position = divmod(step.t, self.steps_per_epoch)
        if position or not epoch:
            return False
        self.history.copy_(torch.roll(self.history, 1, dims=0))
        self.history[0] = 0
        if epoch < 2:
            return False
        tiny = torch.finfo(self.history.dtype).tiny  # two epochs of loss 0 are no fall
        rate = (self.history[1] + tiny) / (self.history[2] + tiny)
        self.current = len(rate) * (rate / self.options["temperature"]).softmax(dim=-1)
        return True
