"""Attention of fields to each other (AutoInt, Song et al. 2019, Eq. 5 to 8)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autoloss.ops.kernels import attention as kernels
from autoloss.ops.operation import Operation, Wants, of_one_run


def _reference(projected: Tensor, heads: int) -> Tensor:
    """By explicit products, which have second derivatives."""
    *stack, fields, _ = projected.shape
    projected = projected.flatten(0, -3)
    batch = len(projected)
    split = projected.view(batch, fields, 4, heads, -1).permute(2, 3, 0, 1, 4)
    query, key, value, residual = split.reshape(4, heads * batch, fields, -1).unbind()
    # [heads B, key, query]: torch's softmax over a last dimension of 8 takes 2.5 times as long.
    weights = torch.bmm(key, query.mT).softmax(dim=1)  # Eq. 5
    combined = torch.bmm(weights.mT, value)  # Eq. 6
    # Eq. 8 acts on single numbers, and so can come before the heads are joined (Eq. 7).
    out = (combined + residual).relu()
    return out.view(heads, batch, fields, -1).permute(1, 2, 0, 3).reshape(*stack, fields, -1)


def _forward(projected: Tensor, heads: int) -> Any:
    projected = projected.contiguous()
    batch, fields, width = *projected.shape[:2], projected.shape[2] // 4
    blocks = -(-batch // kernels.LANES)
    lanes = projected.new_empty(blocks, 4 * fields * width, kernels.LANES)
    weights = projected.new_empty(blocks, heads * fields**2, kernels.LANES)
    out = projected.new_empty(batch, fields, width)
    sizes = blocks, batch, fields, heads, width // heads
    kernels.forward(*sizes, projected, lanes, weights, out)
    return out, (lanes, weights, out), sizes


def _backward(wants: Wants, gradient: Tensor, *kept: Any) -> Any:
    lanes, weights, out, *sizes = kept
    slope = out.new_empty(*out.shape[:2], 4 * out.shape[2])
    kernels.backward(*sizes, lanes, weights, out, gradient.contiguous(), slope)
    return (slope,)


# Queries, keys, values and residuals `[B, F, 4 width]`, each by head, -> `[B, F, width]`.
#
# Inputs: these, and the number of heads.
attend = Operation("Attend", _reference, _forward, _backward, fits=of_one_run(0, 3))
