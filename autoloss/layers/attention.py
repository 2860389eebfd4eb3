"""Attention of fields to each other: see `autoloss.ops.attention`."""

from __future__ import annotations

from torch import Tensor, nn

from autoloss.layers.linear import Linear
from autoloss.ops.attention import attend


class Interacting(nn.Module):
    """Multi-head self-attention over the fields: `[B, F, inputs] -> [B, F, width]`.

    `width` is of all heads together.
    """

    def __init__(self, inputs: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        # W_Query, W_Key, W_Value and W_Res, in rows by head: one matrix product for all.
        self.project = Linear(inputs, 4 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Their Eq. 5 to 8."""
        attended: Tensor = attend(self.project(x), self.heads)
        return attended
