"""What gives the weights p over the candidate losses, and how (paper §2.3-2.4).

A *weighting* maps (labels, logits), or what else of the examples a method's `scores` gives it, to
scores, `[n]` (global) or `[B, n]` (per example); a *relaxation* maps scores to weights. Both name
dimensions from the end: a stack of runs has one more in front. AutoLoss is a controller under
Gumbel-softmax; its ablation AL-2 the same controller under plain softmax.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import torch
from torch import Tensor, nn

from autoloss.layers.hidden import Hidden
from autoloss.layers.linear import Linear
from autoloss.ops.candidates import one_hot
from autoloss.ops.weights import gumbel_softmax
from autoloss.seeds import Draw, Time
from autoloss.task import Task

Relaxation = Callable[[Tensor, Draw], Tensor]


class GlobalLogits(nn.Module):
    """One score per candidate, the same for every example; starts at equal weights."""

    def __init__(self, candidates: int) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.zeros(candidates))

    def forward(self, labels: Tensor, logits: Tensor) -> Tensor:
        """Scores `[n]`; labels and logits are not looked at."""
        return self.scores


def label_and_output(task: Task, labels: Tensor, logits: Tensor) -> Tensor:
    """(y, y_hat) of each example, side by side: `[B, 2]`, or of C classes `[B, 2C]`."""
    if task.binary:
        return torch.stack((labels.to(logits.dtype), logits.sigmoid()), dim=-1)
    truth = one_hot(labels.long(), task.classes).to(logits.dtype)
    return torch.cat((truth, logits.softmax(dim=-1)), dim=-1)


class Controller(nn.Module):
    """The controller of AutoLoss: (y, y_hat) -> scores `[B, n]` (paper §2.4, sizes of §3.3).

    Its input is the label and the model's output only: 2 wide for a binary task, one-hot and
    softmax side by side (2C) for C classes (read off the paper's Fig. 1). Batch normalisation uses
    the batch's own statistics, always: the controller exists only during training.

    Args:
        detach: cut the path from the controller's input back into the model, so that the inner
            step sees the weights as constants (the paper does not say).
    """

    def __init__(
        self, task: Task, candidates: int, *, hidden: Sequence[int], dropout: float, detach: bool
    ) -> None:
        super().__init__()
        self.task, self.detach = task, detach
        widths = [2 if task.binary else 2 * task.classes, *hidden]
        layers = [Hidden(n, m, dropout, track=False) for n, m in pairwise(widths)]
        self.net = nn.Sequential(*layers, Linear(widths[-1], candidates))

    def forward(self, labels: Tensor, logits: Tensor) -> Tensor:
        """Scores `[B, n]`; their softmax is the paper's alpha."""
        seen = label_and_output(self.task, labels, logits.detach() if self.detach else logits)
        scores: Tensor = self.net(seen)
        return scores


def softmax(scores: Tensor, draw: Draw) -> Tensor:
    """alpha itself, no noise and no temperature (the ablation AL-2)."""
    return scores.softmax(dim=-1)


@dataclass(frozen=True)
class Temperature:
    """tau = max(floor, start - slope * t / unit); §3.3 has start 1, slope 5e-5, floor 0.01, unit 1.

    With `unit` the steps of an epoch, the slope is per epoch, and a small data set anneals over the
    same share of its training as a large one.
    """

    start: float
    slope: float
    floor: float
    unit: int

    @classmethod
    def of(cls, options: Mapping[str, Any], steps_per_epoch: int) -> Self:
        """By a method's `tau_start`, `tau_slope`, `tau_floor` and `tau_unit`: step or epoch."""
        start, slope, floor = (options[f"tau_{key}"] for key in ("start", "slope", "floor"))
        return cls(start, slope, floor, 1 if options["tau_unit"] == "step" else steps_per_epoch)

    def __call__(self, t: Time) -> float | Tensor:
        """tau at DRS step `t`."""
        if isinstance(t, Tensor):
            return (self.start - self.slope / self.unit * t.double()).clamp_min(self.floor)
        return max(self.floor, self.start - self.slope * t / self.unit)


@dataclass(frozen=True)
class GumbelSoftmax:
    """p = softmax((log alpha + g) / tau) with g = -log(-log u), u uniform (Eq. 10).

    `straight_through` rounds the forward value to one-hot and keeps the soft gradient; the paper
    calls its form straight-through but writes the soft one, which is the default.
    """

    temperature: Temperature
    straight_through: bool = False

    def __call__(self, scores: Tensor, draw: Draw) -> Tensor:
        """Weights of the same shape as `scores`, on the simplex along the last axis."""
        tau = draw.once(lambda: self.temperature(draw.t), self.temperature)
        soft: Tensor = gumbel_softmax(scores, tau, draw.seed(0))
        if not self.straight_through:
            return soft
        hard = one_hot(soft.argmax(dim=-1), soft.shape[-1]).to(soft.dtype)
        return hard + (soft - soft.detach())  # in this order the forward value is exact
