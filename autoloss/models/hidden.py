"""A hidden layer of a tower: linear, batch norm, ReLU and dropout, in training as one operation.

As one it reads and writes the batch half as often, and its graph has one node for four.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from autoloss.models.batch_norm import BatchNorm, slopes
from autoloss.models.dropout import Dropout
from autoloss.models.products import Linear, linear_slopes, multiply


class Hidden(nn.Module):
    """`[B, inputs] -> [B, outputs]`: values and derivatives of its four modules, one by one.

    Args:
        track: keep running statistics, which evaluation normalises by; without them it is always
            by the batch at hand.
    """

    def __init__(self, inputs: int, outputs: int, dropout: float, *, track: bool = True) -> None:
        super().__init__()
        self.linear = Linear(inputs, outputs)
        self.norm = BatchNorm(outputs, track_running_stats=track)
        self.relu: nn.Module = nn.ReLU()
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output; in training, dropout draws from torch's default generator."""
        if not self.training or type(self.relu) is not nn.ReLU:  # somebody put another there
            one_by_one: Tensor = self.dropout(self.relu(self.norm(self.linear(x))))
            return one_by_one
        linear, norm = self.linear, self.norm
        kept = self.dropout.mask((len(x), linear.out_features), x)
        parameters = linear.weight, linear.bias, norm.weight, norm.bias
        y: Tensor = _Hidden.apply(x, *parameters, kept, norm)[0]  # type: ignore[no-untyped-call]
        return y


# In the form `forward(ctx, ...)`: torch inspects the signature of the newer one at every call.
class _Hidden(torch.autograd.Function):
    """x `[B, n]` -> y and h `[B, m]`; h, what the linear part gives, is for derivatives only."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        norm_weight: Tensor,
        norm_bias: Tensor,
        kept: Tensor,
        norm: BatchNorm,
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        h = multiply(x, weight, bias)
        y, mean, r = norm.normalise(h)
        slope = torch.ops.aten.threshold_backward.default(kept, y, 0)  # of ReLU and dropout
        # h is saved as an output: a second derivative goes back through it to x and weight.
        ctx.save_for_backward(x, weight, norm_weight, h, mean, r, slope)
        return y.mul_(slope), h

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, of_h: Tensor | None) -> tuple[Any, ...]:
        x, weight, norm_weight, h, mean, r, slope = ctx.saved_tensors
        of_weight: Tensor | None = None
        of_bias: Tensor | None = None
        if gradient is not None:
            first, of_weight, of_bias = slopes(gradient * slope, h, norm_weight, mean, r)
            of_h = first if of_h is None else first + of_h
        if of_h is None:
            return (None,) * 7
        return (*linear_slopes(ctx, of_h, x, weight), of_weight, of_bias, None, None)
