"""Weights of the candidates: Gumbel-softmax (paper Eq. 10), and what they add up to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autoloss.ops.kernels import weights as kernels
from autoloss.ops.kernels.random import seed_from
from autoloss.ops.kernels.runtime import fits
from autoloss.ops.operation import Gradients, Operation, Wants


def _reference(scores: Tensor, tau: float, generator: torch.Generator) -> Tensor:
    # -log u is exponential: Tensor.exponential_ never returns 0, so the noise is finite.
    noise = -torch.empty_like(scores).exponential_(generator=generator).log()
    return ((scores + noise) / tau).softmax(dim=-1)


def _forward(scores: Tensor, tau: float, generator: torch.Generator) -> Any:
    scores = scores.contiguous()
    n = scores.shape[-1]
    weights = torch.empty_like(scores)
    given = scores, seed_from(generator), 1 / tau
    kernels.gumbel_softmax(scores.numel() // n, n, *given, weights)
    return weights, (weights,), (tau,)


def _backward(wants: Wants, gradient: Tensor, weights: Tensor, tau: float) -> Gradients:
    toward = weights * gradient
    return ((toward - weights * toward.sum(dim=-1, keepdim=True)) / tau,)


# softmax((scores + g) / tau) along the last axis, with fresh noise g = -log(-log u).
#
# Inputs: scores, tau, and the noise's generator. log alpha is the scores, shifted.
gumbel_softmax = Operation("GumbelSoftmax", _reference, _forward, _backward, smooth=True)


def tally(weights: Tensor, sums: Tensor, selected: Tensor) -> None:
    """Add means of weights `[B, n]` to sums `[n]`, shares in which each is largest to others."""
    if fits(weights):
        kernels.tally(1, *weights.shape, weights.contiguous(), sums, selected)
        return
    sums += weights.mean(dim=0)
    counts = torch.bincount(weights.argmax(dim=-1), minlength=weights.shape[1])
    selected += counts / len(weights)
