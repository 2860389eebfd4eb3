"""Dropout's masks at a fifth of torch's cost on a CPU: four numbers from a draw of 64 bits."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from autoloss.ops.noise import NONE
from autoloss.ops.random import Noise, Seed, parts, word


def lowest(rate: float, seed: int) -> int:
    """The lowest of the 65,536 draws of 16 bits, signed, that keep a value.

    The rate is rounded at random, up or down by less than 2^-16, with the mean that it has: so each
    value of a mask is dropped with this very probability.
    """
    return NONE + math.floor(rate * 2**16 + word(seed, -1) * 2.0**-64 + 0.5) if rate else NONE


def scale(rate: float) -> float:
    """What values that are kept are multiplied by."""
    return 1 / (1 - rate)


def dropout_mask(like: Tensor, rate: float, seed: Seed) -> Tensor:
    """0 with probability `rate`, else the scale; as `like`, which is not read."""
    if not isinstance(seed, int):
        return seed.once(partial(_mask_of_stack, like, rate, seed), rate, like.shape, like.dtype)
    drawn = parts(seed, torch.int16, like)
    # draws >= lowest as 0 or 1, in arithmetic: a comparison of integers is slower.
    kept = drawn.to(like.dtype).sub_(lowest(rate, seed) - 1).clamp_(0, 1)
    return kept.mul_(scale(rate))


def _mask_of_stack(like: Tensor, rate: float, seed: Noise) -> Tensor:
    least = seed.lowest(rate).view(-1, *[1] * (like.dim() - 1))
    kept = parts(seed, torch.int16, like) >= least
    return torch.mul(kept, scale(rate)).to(like.dtype)  # fewer kernels


def dropout(x: Tensor, rate: float, seed: Seed) -> Tensor:
    """x times a mask, if that drops anything."""
    return x * dropout_mask(x, rate, seed) if rate else x
