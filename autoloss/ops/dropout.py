"""Dropout's masks at a fifth of torch's cost on a CPU: four numbers from a draw of 64 bits."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from autoloss.ops.random import Seed, parts, word

NONE = -(2**15)  # the lowest draw there is: nothing is dropped


def lowest(rate: float, seed: Seed) -> int | Tensor:
    """The lowest of the 65,536 draws of 16 bits, signed, that keep a value.

    The rate is rounded at random, up or down by less than 2^-16, with the mean that it has: so each
    value of a mask is dropped with this very probability.
    """
    if isinstance(seed, Tensor):
        rounding: Tensor = word(seed, -1).double() * 2.0**-64
        return (rate * 2**16 + rounding + 0.5).floor() + NONE
    return NONE + math.floor(rate * 2**16 + word(seed, -1) * 2.0**-64 + 0.5) if rate else NONE


def scale(rate: float) -> float:
    """What values that are kept are multiplied by."""
    return 1 / (1 - rate)


def dropout_mask(like: Tensor, rate: float, seed: Seed) -> Tensor:
    """0 with probability `rate`, else the scale; as `like`, which is not read."""
    drawn, least = parts(seed, torch.int16, like), lowest(rate, seed) - 1
    if isinstance(least, Tensor):
        least = least.to(like.dtype).view(-1, *[1] * (like.dim() - 1))
    # draws >= lowest as 0 or 1, in arithmetic: a comparison of integers is slower.
    kept = drawn.to(like.dtype).sub_(least).clamp_(0, 1)
    return kept.mul_(scale(rate))


def dropout(x: Tensor, rate: float, seed: Seed) -> Tensor:
    """x times a mask, if that drops anything."""
    return x * dropout_mask(x, rate, seed) if rate else x
