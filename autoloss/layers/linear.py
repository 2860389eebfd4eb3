"""A linear layer by faster matrix products: see `autoloss.ops.linear`."""

from __future__ import annotations

from torch import Tensor, nn

from autoloss.ops.linear import linear


class Linear(nn.Linear):
    """`nn.Linear`: the same parameters, values but for rounding, and derivatives."""

    def forward(self, x: Tensor) -> Tensor:
        """`[..., inputs] -> [..., outputs]`."""
        y: Tensor = linear(x.flatten(0, -2), self.weight, self.bias)
        return y if x.dim() == 2 else y.view(*x.shape[:-1], -1)
