"""A tower without batch norm and with one output, in training as one operation.

An example's output z is a function of that example alone. So with the unit slopes d z / d h_l,
which no loss is in, the gradient under any loss is g = dL/dz times these: they are computed once,
and what a look-ahead along v changes z by (the only second derivative of a hypergradient) is, by
the same slopes,

    dz = sum_l <dz/dh_l, v_l h_(l-1) + v_bias_l> + <dz/dx, v_x>

one product a layer, where differentiating the gradient takes two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from autoloss.asked import wanted
from autoloss.kernels import tower as kernels
from autoloss.kernels.runtime import chunks, fits
from autoloss.models.dropout import Dropout
from autoloss.models.products import Linear, multiply

SMALL = 1e-30  # below it what is in proportion to a gradient does not tell the unit slope


class Tower(nn.Sequential):
    """`[B, inputs] -> [B, outputs]`: linear, ReLU and dropout for each width, then linear."""

    def __init__(self, inputs: int, widths: Sequence[int], outputs: int, dropout: float) -> None:
        layers: list[nn.Module] = []
        for width in widths:
            layers += [Linear(inputs, width), nn.ReLU(inplace=True), Dropout(dropout)]
            inputs = width
        super().__init__(*layers, Linear(inputs, outputs))
        self._kinds = [type(module) for module in self]

    def forward(self, x: Tensor) -> Tensor:
        """The last layer's output; in training, dropout draws from torch's default generator."""
        modules: list[Any] = list(self)
        plain = [type(module) for module in modules] == self._kinds  # none is somebody's own
        one_output = len(modules) > 1 and modules[-1].out_features == 1
        if not (self.training and plain and one_output and fits(x)):
            one_by_one: Tensor = super().forward(x)  # type: ignore[no-untyped-call]
            return one_by_one
        parameters = [p for layer in modules[::3] for p in (layer.weight, layer.bias)]
        y: Tensor = _Tower.apply(x, *parameters, modules[2::3])  # type: ignore[no-untyped-call]
        return y


# Both in the form `forward(ctx, ...)`: torch inspects the signature of the newer at every call.
class _Tower(torch.autograd.Function):
    """x `[B, n]` and each layer's weight and bias -> `[B, 1]`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *given: Any) -> Tensor:
        *parameters, dropouts = given  # the tensors first: see `wanted`
        outputs = [x]
        for weight, bias, dropout in zip(parameters[::2], parameters[1::2], dropouts, strict=False):
            h = multiply(outputs[-1], weight, bias).relu_()
            outputs.append(h.mul_(dropout.mask(h.shape, h)) if dropout.drops else h)
        ctx.save_for_backward(x, *parameters, *outputs[1:])
        ctx.scales = [dropout.scale for dropout in dropouts]
        return multiply(outputs[-1], *parameters[-2:])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        given = gradient.contiguous(), *ctx.saved_tensors
        if torch.is_grad_enabled():
            found: Sequence[Tensor | None] = _Slopes.apply(*given, ctx.scales, wanted(ctx, 0))  # type: ignore[no-untyped-call]
        else:
            found, _ = _slopes(*_parts(given, ctx.scales), ctx.scales, wants_x=wanted(ctx, 0))
        return *found, None


def _parts(
    given: Sequence[Tensor], scales: Sequence[float]
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The gradient, the parameters, and what goes into the layers: x, then what comes out."""
    gradient, x, *rest = given
    n = 2 * len(scales) + 2
    return gradient, rest[:n], [x, *rest[n:]]


def _slopes(
    gradient: Tensor,
    parameters: list[Tensor],
    into: list[Tensor],
    scales: Sequence[float],
    *,
    wants_x: bool,
    keep: bool = False,
) -> tuple[list[Tensor | None], list[Tensor]]:
    """The gradients of x and the parameters; if they are to be kept, unit slopes dz/dh_l too."""
    weights, rows = parameters[::2], len(gradient)
    found: list[Tensor | None] = [multiply(gradient.t(), into[-1].t()), gradient.sum(dim=0)]
    units: list[Tensor] = []
    above, step = weights[-1].contiguous(), 0
    for k in reversed(range(len(scales))):
        h, width = into[k + 1], into[k + 1].shape[1]
        unit = torch.empty_like(h) if k or keep else None
        seeded = torch.empty_like(h) if wants_x and not k else None
        turned, sums = h.new_empty(width, rows), h.new_empty(chunks(rows), width)
        given = above, step, h, gradient, scales[k]
        kernels.rectify(chunks(rows), rows, width, *given, unit, seeded, turned, sums)
        found[:0] = [multiply(turned, into[k].t()), sums.sum(dim=0)]
        if unit is not None:
            units.insert(0, unit)
            above, step = (multiply(unit, weights[k].t()), weights[k].shape[1]) if k else (unit, 0)
    return [multiply(seeded, weights[0].t()) if seeded is not None else None, *found], units


class _Slopes(torch.autograd.Function):
    """The gradients as functions of the gradient of z, of x and of the parameters."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> tuple[Tensor | None, ...]:
        *given, scales, wants_x = arguments
        ctx.set_materialize_grads(False)
        found, units = _slopes(*_parts(given, scales), scales, wants_x=wants_x, keep=True)
        ctx.save_for_backward(found[0], *units, *given)
        ctx.scales = scales
        return tuple(found)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *along: Tensor | None) -> tuple[Tensor | None, ...]:
        """From what the loss changes by with the gradients: the same for what they are of."""
        n = len(ctx.scales)
        of_x, units = ctx.saved_tensors[0], ctx.saved_tensors[1 : n + 1]
        gradient, parameters, into = _parts(ctx.saved_tensors[n + 1 :], ctx.scales)
        rest = (None,) * (n + 2)  # what came out of the layers, and what is no tensor
        if any(wanted(ctx, 1 + k) for k in range(1 + len(parameters))):
            return *_by_torch(gradient, parameters, into, ctx.scales, along), *rest
        v_x, *v = along
        moved = _moved(units, into, v)
        if v_x is not None:
            moved += _moved_by_x(gradient, of_x, v_x, units[0], parameters[0])
        return moved, *(None,) * (1 + len(parameters)), *rest


def _moved(units: Sequence[Tensor], into: list[Tensor], v: Sequence[Tensor | None]) -> Tensor:
    """dz `[B, 1]` along v of the parameters."""
    found = into[-1].new_zeros(len(into[0]), 1)
    for unit, x, weight, bias in zip(units, into, v[::2], v[1::2], strict=False):
        if weight is not None:
            _add_dots(unit, multiply(x, weight, bias), found)
        elif bias is not None:
            _add_dots(unit, bias.expand_as(unit), found)
    if v[-2] is not None:
        return multiply(into[-1], v[-2], v[-1], found)
    return found if v[-1] is None else found + v[-1]


def _moved_by_x(g: Tensor, of_x: Tensor, v: Tensor, unit: Tensor, weight: Tensor) -> Tensor:
    """dz `[B, 1]` along v of x, by the gradient of x, g dz/dx, where g says what dz/dx was."""
    found = torch.zeros_like(g)
    _add_dots(of_x, v, found)
    found /= g
    small = (g.abs() < SMALL).squeeze(1)
    if small.any():
        found[small] = (multiply(unit[small], weight.t()) * v[small]).sum(dim=1, keepdim=True)
    return found


def _add_dots(x: Tensor, y: Tensor, to: Tensor) -> None:
    """Add each row's inner product of x and y `[B, m]` to `[B, 1]`."""
    kernels.dots(chunks(len(x)), *x.shape, x.contiguous(), y.contiguous(), to)


def _by_torch(
    gradient: Tensor,
    parameters: list[Tensor],
    into: list[Tensor],
    scales: Sequence[float],
    along: Sequence[Tensor | None],
) -> Sequence[Tensor]:
    """The derivatives of the gradients, along `along`, with respect to all that they are of."""
    with torch.enable_grad():
        leaves = [one.detach().requires_grad_() for one in (gradient, into[0], *parameters)]
        z, (weights, biases) = leaves[1], (leaves[2::2], leaves[3::2])
        for weight, bias, h, scale in zip(weights, biases, into[1:], scales, strict=False):
            z = F.linear(z, weight, bias) * ((h > 0) * scale)
        z = F.linear(z, weights[-1], biases[-1])
        asked = [k for k, one in enumerate(along) if one is not None]
        sources = [leaves[1 + k] for k in asked]
        slopes = torch.autograd.grad(z, sources, leaves[0], create_graph=True)
        given = [along[k] for k in asked]
        return torch.autograd.grad(slopes, leaves, given, allow_unused=True, materialize_grads=True)
