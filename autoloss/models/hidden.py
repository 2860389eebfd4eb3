"""A hidden layer of a tower: linear, batch norm, ReLU and dropout, in training as one operation.

As one its graph has one node for four, and on a CPU a kernel passes once over what four would.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from autoloss.kernels import hidden as kernels
from autoloss.kernels.random import seed_from
from autoloss.kernels.runtime import fits
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
        parameters = linear.weight, linear.bias, norm.weight, norm.bias
        y: Tensor = _Hidden.apply(x, *parameters, norm, self.dropout)[0]  # type: ignore[no-untyped-call]
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
        norm: BatchNorm,
        dropout: Dropout,
    ) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        h = multiply(x, weight, bias)
        given = h, norm_weight, norm_bias, norm, dropout
        y, mean, r = _activate(*given, keep=any(ctx.needs_input_grad))
        # h is saved as an output: a second derivative goes back through it to x and weight.
        ctx.save_for_backward(x, weight, norm_weight, h, y, mean, r)
        ctx.scale = dropout.scale
        return y, h

    @staticmethod
    def backward(ctx: Any, gradient: Tensor | None, of_h: Tensor | None) -> tuple[Any, ...]:
        x, weight, norm_weight, h, y, mean, r = ctx.saved_tensors
        of_weight: Tensor | None = None
        of_bias: Tensor | None = None
        if gradient is not None:
            found = slopes(gradient, h, norm_weight, mean, r, active=y, scale=ctx.scale)
            first, of_weight, of_bias = found
            of_h = first if of_h is None else first + of_h
        if of_h is None:
            return (None,) * 7
        return (*linear_slopes(ctx, of_h, x, weight), of_weight, of_bias, None, None)


def _activate(
    h: Tensor, weight: Tensor, bias: Tensor, norm: BatchNorm, dropout: Dropout, *, keep: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch norm, ReLU and dropout of h `[B, m]`, which may be lost if it need not be kept; the
    batch's own mean and r `[m]`.
    """
    if not fits(h):
        y, mean, r = norm.normalise(h)
        return y.relu_().mul_(dropout.mask(h.shape, h)), mean, r
    y = torch.empty_like(h) if keep else h
    mean, r = torch.empty_like(weight), torch.empty_like(weight)
    momentum = norm.count_batch()
    kernels.run(
        kernels.forward,
        *h.shape,
        h,
        weight.contiguous(),
        bias.contiguous(),
        y,
        mean,
        r,
        norm.running_mean,
        norm.running_var,
        momentum,
        norm.eps,
        dropout.scale,
        dropout.lowest,
        seed_from() if dropout.drops else 0,
        kernels.sums_for(*h.shape),
    )
    return y, mean, r
