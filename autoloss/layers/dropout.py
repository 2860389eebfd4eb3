"""Dropout with masks of its own: see `autoloss.ops.dropout`."""

from __future__ import annotations

from torch import Tensor, nn

from autoloss.errors import ConfigError
from autoloss.ops.dropout import NONE, dropout


class Dropout(nn.Module):
    """Zero each value with probability `rate`, scale the others by 1 / (1 - rate), in training.

    The rate is rounded to a multiple of 2^-16.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate <= 0.99:
            raise ConfigError("dropout", f"is {rate}", "give a share of 0 to 0.99")
        self.rate = rate
        dropped = round(rate * 2**16)
        self.scale = 2**16 / (2**16 - dropped)
        self.lowest = NONE + dropped

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; unchanged in evaluation mode."""
        return dropout(x, self.lowest, self.scale) if self.training else x
