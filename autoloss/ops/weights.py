"""Weights of the candidates: Gumbel-softmax (paper Eq. 10), and what they add up to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autoloss.ops.candidates import one_hot
from autoloss.ops.kernels import weights as kernels
from autoloss.ops.kernels.runtime import fits
from autoloss.ops.operation import Gradients, Operation, Wants
from autoloss.ops.random import Seed, gumbel


def _reference(scores: Tensor, tau: float | Tensor, seed: Seed) -> Tensor:
    return ((scores + gumbel(seed, scores)) / tau).softmax(dim=-1)


def _forward(scores: Tensor, tau: float, seed: int) -> Any:
    scores = scores.contiguous()
    n = scores.shape[-1]
    weights = torch.empty_like(scores)
    kernels.gumbel_softmax(scores.numel() // n, n, scores, seed, 1 / tau, weights)
    return weights, (weights,), (tau,)


def _backward(wants: Wants, gradient: Tensor, weights: Tensor, tau: float) -> Gradients:
    toward = weights * gradient
    return ((toward - weights * toward.sum(dim=-1, keepdim=True)) / tau,)


# softmax((scores + g) / tau) along the last axis, with noise g = -log(-log u).
#
# Inputs: scores, tau, and the noise's seed. log alpha is the scores, shifted.
gumbel_softmax = Operation(
    "GumbelSoftmax",
    _reference,
    _forward,
    _backward,
    smooth=True,
    fits=lambda scores, tau, seed: isinstance(seed, int) and fits(scores),
)


def tally(weights: Tensor, sums: Tensor, selected: Tensor) -> None:
    """Add means of weights `[B, n]` to sums `[n]`, shares in which each is largest to others."""
    sums += weights.mean(dim=-2)
    counts = one_hot(weights.argmax(dim=-1), weights.shape[-1]).sum(dim=-2)
    selected += counts / weights.shape[-2]
