"""A hidden layer of a tower: linear, batch norm, ReLU and dropout, in training as one operation.

As one its graph has one node for four, and a kernel passes once over what four would.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autoloss.ops.batch_norm import batch_norm
from autoloss.ops.dropout import dropout, lowest, scale
from autoloss.ops.kernels import hidden as kernels
from autoloss.ops.linear import linear, multiply
from autoloss.ops.operation import Gradients, Operation, Wants


def _reference(x: Tensor, weight: Tensor, bias: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    h = linear(x, weight, bias)
    return dropout(batch_norm(h, *rest[:-2]).relu(), *rest[-2:]), h


def _forward(x: Tensor, weight: Tensor, bias: Tensor, *rest: Any) -> Any:
    norm_weight, norm_bias, running_mean, running_var, momentum, eps, rate, seed = rest
    h = multiply(x, weight, bias)
    # h may be lost where no derivative reads it.
    keep = any(p.requires_grad for p in (x, weight, bias, norm_weight, norm_bias))
    y = torch.empty_like(h) if keep else h
    mean, r = torch.empty_like(norm_weight), torch.empty_like(norm_weight)
    into = h, norm_weight.contiguous(), norm_bias.contiguous(), y, mean, r
    sums = kernels.sums_for(*h.shape)
    dropped = scale(rate), lowest(rate, seed), seed
    constants = running_mean, running_var, momentum, eps, *dropped
    kernels.run(kernels.forward, *h.shape, *into, *constants, sums)
    # h is kept as an output: a second derivative goes back through it to x and weight.
    return (y, h), (x, weight, norm_weight, h, y, mean, r), (scale(rate),)


def _backward(wants: Wants, gradient: Tensor | None, of_h: Tensor | None, *kept: Any) -> Any:
    x, weight, norm_weight, h, y, mean, r, factor = kept
    of_norm: Gradients = (None, None)
    if gradient is not None:
        tensors: tuple[Any, ...] = gradient, h, norm_weight, mean, r, y
        first, *of_norm = batch_norm.slopes(wants, tensors, (factor,))
        of_h = first if of_h is None else first + of_h
    if of_h is None:
        return ()
    return *linear.slopes(wants, (of_h, x, weight), ()), *of_norm


# x `[B, n]` -> y and h `[B, m]`; h, what the linear part gives, is for derivatives only.
#
# Inputs: x, weight and bias of the linear part, those of batch norm, then running mean, running
# variance, momentum and eps, then rate and seed of dropout.
hidden = Operation("Hidden", _reference, _forward, _backward, smooth=True, sparse=True)
