"""Many losses of the same predictions at once, with the derivatives of each (autoloss.losses)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from autoloss.ops.kernels import losses as kernels
from autoloss.ops.operation import Gradients, Operation, Wants, of_one_run

Definition = Callable[[Tensor, Tensor], Tensor]


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """`[..., classes]` bool; unlike torch's it looks at no number, so no device waits for it."""
    return labels.unsqueeze(-1) == torch.arange(classes, device=labels.device)


def _reference(logits: Tensor, labels: Tensor, *constants: Any) -> Tensor:
    values: Tensor = constants[-1](labels, logits)
    return values


def _forward(logits: Tensor, labels: Tensor, kinds: Tensor, *constants: Any) -> Any:
    """Values and their slopes along the logits, `[B, n]` or `[B, n, C]`, in one pass."""
    *numbers, _ = constants  # the last is for the reference
    labels, n = labels.long().contiguous(), len(kinds)
    values = logits.new_empty(len(labels), n)
    slopes = logits.new_empty(len(labels), n, *logits.shape[1:])
    given: Any = (n, kinds, *numbers, labels, logits.contiguous(), values, slopes)
    if logits.dim() == 1:
        kernels.binary(len(labels), *given)
        return values, (slopes,), ()
    outside = torch.zeros(1, dtype=torch.int64)
    kernels.classes(len(labels), *given, logits.shape[1], outside)
    if outside:
        raise IndexError(f"a label is not one of 0 to {logits.shape[1] - 1}")
    return values, (slopes,), ()


def _backward(wants: Wants, gradient: Tensor, slopes: Tensor) -> Gradients:
    """Of the logits, from that of the values, `[B, n]`."""
    gradient = gradient if slopes.dim() == 2 else gradient.unsqueeze(-1)
    return ((slopes * gradient).sum(dim=1),)


# Values `[B, n]` of losses that the kernel knows, from logits `[B]` or `[B, C]`.
#
# Inputs: logits; labels `[B]`; kinds `int32[n]`, numbers of `autoloss.ops.kernels.losses`; gamma
# of focal; smoothing of kl and the sum of q log q of its targets q; and the losses' definition by
# torch's operations, `(labels, logits) -> [B, n]`.
candidate_losses = Operation("Candidates", _reference, _forward, _backward, fits=of_one_run(1, 1))
