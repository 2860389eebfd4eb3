"""A linear layer by faster matrix products: see `autoloss.ops.linear`."""

from __future__ import annotations

from torch import Tensor, nn

from autoloss.ops.linear import linear


class Linear(nn.Linear):
    """`nn.Linear`: the same parameters, values but for rounding, and derivatives.

    Of a stack the weight is `[S, outputs, inputs]`, and all else has S in front too.
    """

    def forward(self, x: Tensor) -> Tensor:
        """`[..., inputs] -> [..., outputs]`."""
        stack = self.weight.dim() - 2
        y: Tensor = linear(x.flatten(stack, -2), self.weight, self.bias)
        return y if x.dim() == stack + 2 else y.view(*x.shape[:-1], -1)
