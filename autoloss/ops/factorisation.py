"""Factorisation machines (Rendle 2010): pairwise inner products and linear terms of fields."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from autoloss.ops.kernels import tables as kernels
from autoloss.ops.lookup import lookup
from autoloss.ops.operation import Gradients, Operation, Wants, of_one_run


def _pair_sum_reference(embedded: Tensor) -> Tensor:
    squares = embedded.sum(dim=-2).square() - embedded.square().sum(dim=-2)
    return squares.sum(dim=-1, keepdim=True) / 2


def _pair_sum_forward(embedded: Tensor) -> Any:
    norms = torch.linalg.vector_norm(embedded.flatten(-2), dim=-1, keepdim=True)
    pairs = embedded.sum(dim=-2).square().sum(dim=-1, keepdim=True) - norms.square()
    return pairs / 2, (embedded,), ()


def _pair_sum_backward(wants: Wants, gradient: Tensor, embedded: Tensor) -> Gradients:
    """s (sum e - e_i) for s `[B, 1]`: symmetric in e."""
    scale = gradient.unsqueeze(-1)
    total = scale * embedded.sum(dim=-2, keepdim=True)
    return (torch.addcmul(total, scale, embedded, value=-1),)


# Sum over pairs i < j of <e_i, e_j>, `[B, F, dim] -> [B, 1]`, in a half of autograd's time.
#
# It is (|sum e|^2 - sum |e|^2) / 2 (Rendle 2010, Eq. 3).
pair_sum = Operation(
    "PairSum",
    _pair_sum_reference,
    _pair_sum_forward,
    _pair_sum_backward,
    fits=lambda embedded: True,
    smooth=True,
)


def _factorise_reference(values: Tensor, linear: Tensor, places: Tensor) -> tuple[Tensor, ...]:
    embedded = lookup(values, places)
    return embedded, pair_sum(embedded), lookup(linear, places).sum(dim=-2)


def _factorise_forward(values: Tensor, linear: Tensor, places: Tensor) -> Any:
    (batch, fields), (rows, dim), outputs = places.shape, values.shape, linear.shape[1]
    embedded, total = values.new_empty(batch, fields, dim), values.new_empty(batch, dim)
    pairs, first = values.new_empty(batch, 1), values.new_empty(batch, outputs)
    outside = torch.zeros(1, dtype=torch.int64)
    given = places, values.contiguous(), linear.contiguous(), rows
    kernels.factors(batch, fields, dim, outputs, *given, embedded, total, pairs, first, outside)
    if outside:
        raise IndexError(f"a row number is not below {rows}")
    return (embedded, pairs, first), (embedded, total, places), (rows, outputs)


def _factorise_backward(wants: Wants, *given: Any) -> Gradients:
    *gradients, embedded, total, places, rows, outputs = given
    batch, fields, dim = embedded.shape
    shapes = (batch, fields, dim), (batch, 1), (batch, outputs)
    gradients = [
        embedded.new_zeros(shape) if gradient is None else gradient.contiguous()
        for gradient, shape in zip(gradients, shapes, strict=True)
    ]
    sums = embedded.new_zeros(rows, dim), embedded.new_zeros(rows, outputs)
    kernels.factor_sums(fields, batch, dim, outputs, places, embedded, total, *gradients, *sums)
    return sums


def _factorise_second(wants: Wants, along: Gradients, results: Any, *given: Any) -> Gradients:
    """Of the gradients, and of `embedded`: the gradient is linear in each of these."""
    _, of_pairs, _, embedded, total, places, rows, outputs = given
    batch, fields, dim = embedded.shape
    v, vl = (
        embedded.new_zeros(rows, width) if part is None else part.contiguous()
        for part, width in zip(along, (dim, outputs), strict=True)
    )
    pulls = torch.empty_like(embedded), embedded.new_empty(batch, 1)
    firsts = embedded.new_empty(batch, outputs)
    kernels.factor_pulls(
        batch, fields, dim, outputs, places, embedded, total, v, vl, *pulls, firsts
    )
    # The total is a function of `embedded` too, counted here.
    of_embedded = None
    if wants(3) and of_pairs is not None:
        (of_embedded,) = pair_sum.backward(wants, of_pairs, pulls[0])
    return *pulls, firsts, of_embedded


# Values `[R, dim]`, linear `[R, C]` and places `[B, F]` -> embedded, pairs and first.
#
# `embedded` `[B, F, dim]` is looked up; `pairs` `[B, 1]` is its `pair_sum`; `first` `[B, C]` the
# sum of the linear terms looked up.
factorise = Operation(
    "Factorise",
    _factorise_reference,
    _factorise_forward,
    _factorise_backward,
    second=_factorise_second,
    sparse=True,
    fits=of_one_run(2),
)
