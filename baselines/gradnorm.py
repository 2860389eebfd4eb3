"""GradNorm (Chen et al., ICML 2018): global weights that balance the losses' gradient norms.

Each candidate is a task. With G_i the norm of the weighted loss' gradient at the last shared layer,
and r_i how slowly the candidate has fallen against the others, the weights follow (their Eq. 2)

    L_grad = sum_i |G_i - mean(G) r_i^a|      G_i = w_i ||grad l_i||
                                              r_i = (l_i / l_i(0)) / mean_j (l_j / l_j(0))

the target being constant, and always sum to n: w = n softmax(scores).

Deviations. The last shared layer is the model's last linear one. Made for different tasks: four
losses of one label can merely be rescaled. The scores take Adam steps at the model's published
rate; that weights are a softmax, and so never negative, is a known re-implementation's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from autoloss.hypergradient import total
from autoloss.methods.contract import Step
from autoloss.methods.info import Info
from autoloss.methods.learned import Parametric
from autoloss.methods.weighting import GlobalLogits


class GradNorm(Parametric):
    """Weights by gradient norms on the training batch."""

    info = Info(
        name="gradnorm",
        label="GradNorm",
        summary="global weights that balance gradient norms on the training batch",
        paper="Chen et al., GradNorm, ICML 2018",
        fidelity=(
            (
                "objective",
                "GradNorm, Eq. 2",
                "|G_i - mean(G) r_i^α|, its target constant, α = 1.5",
                "original's way",
            ),
            (
                "weights",
                "GradNorm, Eq. 2",
                "they sum to n",
                "original's way",
                "n softmax of scores: they sum to n, and none is negative",
            ),
            (
                "layer",
                "GradNorm, Eq. 2",
                "the last that the tasks share",
                "original's way",
                "the model's last linear layer",
            ),
        ),
        weights="global",
        learns_on="training",
        tables=("controls",),
        simplex=False,
        options={"lr": 0.001, "alpha": 1.5},
        tune={"lr": ("log", 0.0001, 0.1), "alpha": ("choice", 0.5, 1.0, 1.5, 3.0)},
    )
    initial: Tensor

    def build(self) -> None:
        """Equal scores; the losses at the first step are remembered."""
        n = len(self.candidates)
        self.weighting = GlobalLogits(n)
        self.relaxation = lambda scores, draw: n * scores.softmax(dim=-1)
        self.register_buffer("initial", torch.zeros(n))

    def before_step(self, step: Step) -> bool:
        """One step on the scores; leaves the model untouched."""
        losses, norms = self._measure(step)
        if step.t == 0:
            self.initial.copy_(losses)
        (scores,) = self.weighting.parameters()
        weights = norms.shape[-1] * scores.softmax(dim=-1)
        with torch.no_grad():
            rate = losses / self.initial
            slowness = rate / rate.mean(dim=-1, keepdim=True)
            mean = (weights * norms).mean(dim=-1, keepdim=True)
            target = mean * slowness ** self.options["alpha"]
        (scores.grad,) = torch.autograd.grad((weights * norms - target).abs().sum(), [scores])
        self.optimizer.step()
        return True

    def kind(self, t: int) -> bool:
        """The first step is another."""
        return t == 0

    def _measure(self, step: Step) -> tuple[Tensor, Tensor]:
        """Each candidate's mean loss and the norm of its gradient at the last linear layer."""
        layers = [name for name, m in step.model.named_modules() if isinstance(m, nn.Linear)]
        last = step.opened.params[f"{layers[-1]}.weight"]
        losses = self.candidates(step.batch.labels, step.forward()).mean(dim=-2)
        gradients = [
            torch.autograd.grad(total(loss), last, retain_graph=True)[0]
            for loss in losses.unbind(dim=-1)
        ]
        norms = torch.stack([g.flatten(-2).norm(dim=-1) for g in gradients], dim=-1)
        return losses.detach(), norms
