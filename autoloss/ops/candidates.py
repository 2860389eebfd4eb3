"""Many losses of the same predictions at once, with the derivatives of each (autoloss.losses)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from autoloss.ops.kernels import losses as kernels
from autoloss.ops.operation import Gradients, Operation, Wants

Definition = Callable[[Tensor, Tensor], Tensor]


def _reference(logits: Tensor, labels: Tensor, *constants: Any) -> Tensor:
    values: Tensor = constants[-1](labels, logits)
    return values


def _forward(logits: Tensor, labels: Tensor, kinds: Tensor, *constants: Any) -> Any:
    """Values and their slopes along the logits, `[B, n]` or `[B, n, C]`, in one pass."""
    *numbers, definition = constants
    labels, n = labels.long().contiguous(), len(kinds)
    values = logits.new_empty(len(labels), n)
    slopes = logits.new_empty(len(labels), n, *logits.shape[1:])
    given: Any = (n, kinds, *numbers, labels, logits.contiguous(), values, slopes)
    if logits.dim() == 1:
        kernels.binary(len(labels), *given)
        return values, (logits, slopes), (labels, definition)
    outside = torch.zeros(1, dtype=torch.int64)
    kernels.classes(len(labels), *given, logits.shape[1], outside)
    if outside:
        raise IndexError(f"a label is not one of 0 to {logits.shape[1] - 1}")
    return values, (logits, slopes), (labels, definition)


def _backward(wants: Wants, gradient: Tensor, logits: Tensor, slopes: Tensor, *_: Any) -> Any:
    """Of the logits, from that of the values, `[B, n]`."""
    gradient = gradient if logits.dim() == 1 else gradient.unsqueeze(-1)
    return ((slopes * gradient).sum(dim=1),)


def _second(wants: Wants, along: Any, results: Any, *given: Any) -> Gradients:
    """Of the gradient, in which `backward` is linear, and of the logits by the definition."""
    gradient, logits, slopes, labels, definition = given
    (v,), of_gradient, of_logits = along, None, None
    if wants(0):
        of_gradient = slopes * v.unsqueeze(1)
        of_gradient = of_gradient if logits.dim() == 1 else of_gradient.sum(dim=-1)
    if wants(1):
        with torch.enable_grad():
            logits = logits.detach().requires_grad_()
            values = definition(labels, logits)
            (slope,) = torch.autograd.grad(values, logits, gradient, create_graph=True)
            (of_logits,) = torch.autograd.grad(slope, logits, v)
    return of_gradient, of_logits


# Values `[B, n]` of losses that the kernel knows, from logits `[B]` or `[B, C]`.
#
# Inputs: logits; labels `[B]`; kinds `int32[n]`, numbers of `autoloss.ops.kernels.losses`; gamma
# of focal; smoothing of kl and the sum of q log q of its targets q; and the losses' definition by
# torch's operations, `(labels, logits) -> [B, n]`.
candidate_losses = Operation("Candidates", _reference, _forward, _backward, second=_second)
