"""Dropout's masks at a fifth of torch's cost on a CPU: four numbers from a draw of 64 bits."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from autoloss.ops.kernels.random import seed_from, words

NONE = -(2**15)  # the lowest draw there is: nothing is dropped


def dropout_mask(like: Tensor, lowest: int, scale: float) -> Tensor:
    """The scale where a draw of 16 bits, signed, is not below `lowest`, else 0; as `like`.

    On a CPU torch's default generator gives the mask's seed, on other devices the mask.
    """
    n = prod(like.shape)
    drawn = torch.empty(-(-n // 4), dtype=torch.int64, device=like.device)
    if like.is_cpu:
        words(len(drawn), seed_from(), drawn)
    else:
        drawn.random_(-(2**63), None)
    draws = drawn.view(torch.int16)[:n].view(like.shape)
    # draws >= lowest as 0 or 1, in arithmetic: a comparison of integers is slower.
    return draws.to(like.dtype).sub_(lowest - 1).clamp_(0, 1).mul_(scale)


def dropout(x: Tensor, lowest: int, scale: float) -> Tensor:
    """x times a mask, if that drops anything."""
    return x if lowest == NONE else x * dropout_mask(x, lowest, scale)
