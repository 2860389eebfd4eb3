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
from torch import Tensor
from torch.nn import functional as F

from autoloss.ops.dropout import dropout, dropout_mask, scale
from autoloss.ops.kernels import tower as kernels
from autoloss.ops.kernels.runtime import chunks, fits
from autoloss.ops.linear import linear, multiply
from autoloss.ops.operation import Gradients, Operation, Wants

SMALL = 1e-30  # below it what is in proportion to a gradient does not tell the unit slope


def _fits(*inputs: Any) -> bool:
    one_output = len(inputs) > 4 and len(inputs[-3]) == 1
    return one_output and inputs[0].dim() == 2 and fits(inputs[0])


def _reference(x: Tensor, *given: Any) -> Tensor:
    *parameters, drops = given
    for weight, bias, drop in zip(parameters[::2], parameters[1::2], drops, strict=False):
        x = dropout(linear(x, weight, bias).relu(), *drop)
    y: Tensor = linear(x, *parameters[-2:])
    return y


def _forward(x: Tensor, *given: Any) -> Any:
    *parameters, drops = given
    outputs = [x]
    for weight, bias, drop in zip(parameters[::2], parameters[1::2], drops, strict=False):
        h = multiply(outputs[-1], weight, bias).relu_()
        outputs.append(h.mul_(dropout_mask(h, *drop)) if drop[0] else h)
    scales = [scale(rate) for rate, _ in drops]
    return multiply(outputs[-1], *parameters[-2:]), (x, *parameters, *outputs[1:]), (scales,)


def _backward(wants: Wants, *given: Any) -> Gradients:
    return _slopes(wants, _parts(given))[0]


def _recorded(wants: Wants, *given: Any) -> Gradients:
    """And the unit slopes dz/dh_l."""
    slopes, units = _slopes(wants, _parts(given), keep=True)
    return *slopes, None, *units  # None of the constant


def _second(wants: Wants, along: Gradients, results: Sequence[Tensor], *given: Any) -> Gradients:
    parts = gradient, parameters, into, _ = _parts(given)
    n = 1 + len(parameters)
    of_x, units = results[0], results[n + 1 :]
    v_x, *v = along[:n]
    if any(wants(1 + k) for k in range(n)):
        return _by_torch(parts, along[:n])
    moved = _moved(units, into, v)
    if v_x is not None:
        moved += _moved_by_x(gradient, of_x, v_x, units[0], parameters[0])
    return (moved,)


# Linear, ReLU and dropout layer by layer, then linear: x `[B, n]` -> `[B, outputs]`.
#
# Inputs: x, then each layer's weight and bias, then rate and seed of each dropout.
tower = Operation(
    "Tower",
    _reference,
    _forward,
    _backward,
    second=_second,
    recorded=_recorded,
    reuses=True,
    fits=_fits,
)
Parts = tuple[Tensor, list[Tensor], list[Tensor], list[float]]


def _parts(given: Sequence[Any]) -> Parts:
    """The gradient, the parameters, what goes into the layers and comes out last, and scales."""
    gradient, x, *rest, scales = given
    n = 2 * len(scales) + 2
    return gradient.contiguous(), rest[:n], [x, *rest[n:]], scales


def _slopes(
    wants: Wants, parts: Parts, *, keep: bool = False
) -> tuple[list[Tensor | None], list[Tensor]]:
    """The gradients of x and the parameters; if they are to be kept, unit slopes dz/dh_l too."""
    gradient, parameters, into, scales = parts
    weights, rows, wants_x = parameters[::2], len(gradient), wants(0)
    slopes: list[Tensor | None] = [multiply(gradient.t(), into[-1].t()), gradient.sum(dim=0)]
    units: list[Tensor] = []
    above, step = weights[-1].contiguous(), 0
    for k in reversed(range(len(scales))):
        h, width = into[k + 1], into[k + 1].shape[1]
        unit = torch.empty_like(h) if k or keep else None
        seeded = torch.empty_like(h) if wants_x and not k else None
        turned, sums = h.new_empty(width, rows), h.new_empty(chunks(rows), width)
        given = above, step, h, gradient, scales[k]
        kernels.rectify(chunks(rows), rows, width, *given, unit, seeded, turned, sums)
        slopes[:0] = [multiply(turned, into[k].t()), sums.sum(dim=0)]
        if unit is not None:
            units.insert(0, unit)
            above, step = (multiply(unit, weights[k].t()), weights[k].shape[1]) if k else (unit, 0)
    return [multiply(seeded, weights[0].t()) if seeded is not None else None, *slopes], units


def _moved(units: Sequence[Tensor], into: list[Tensor], v: Sequence[Tensor | None]) -> Tensor:
    """dz `[B, 1]` along v of the parameters."""
    change = into[-1].new_zeros(len(into[0]), 1)
    for unit, x, weight, bias in zip(units, into, v[::2], v[1::2], strict=False):
        if weight is not None:
            _add_dots(unit, multiply(x, weight, bias), change)
        elif bias is not None:
            _add_dots(unit, bias.expand_as(unit), change)
    if v[-2] is not None:
        return multiply(into[-1], v[-2], v[-1], change)
    return change if v[-1] is None else change + v[-1]


def _moved_by_x(g: Tensor, of_x: Tensor, v: Tensor, unit: Tensor, weight: Tensor) -> Tensor:
    """dz `[B, 1]` along v of x, by the gradient of x, g dz/dx, where g says what dz/dx was."""
    change = torch.zeros_like(g)
    _add_dots(of_x, v, change)
    change /= g
    small = (g.abs() < SMALL).squeeze(1)
    if small.any():
        change[small] = (multiply(unit[small], weight.t()) * v[small]).sum(dim=1, keepdim=True)
    return change


def _add_dots(x: Tensor, y: Tensor, to: Tensor) -> None:
    """Add each row's inner product of x and y `[B, m]` to `[B, 1]`."""
    kernels.dots(chunks(len(x)), *x.shape, x.contiguous(), y.contiguous(), to)


def _by_torch(parts: Parts, along: Sequence[Tensor | None]) -> Sequence[Tensor]:
    """The derivatives of the gradients, along `along`, with respect to all that they are of."""
    gradient, parameters, into, scales = parts
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
