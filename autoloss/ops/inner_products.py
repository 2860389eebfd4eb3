"""Inner products of all pairs of fields beside their embeddings, for IPNN."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from autoloss.ops.kernels import tables as kernels
from autoloss.ops.lookup import lookup
from autoloss.ops.operation import Operation, Wants, of_one_run


def _reference(values: Tensor, places: Tensor) -> Tensor:
    """By the Gram matrix of each example."""
    embedded, fields = lookup(values, places), places.shape[-1]
    gram = embedded @ embedded.mT
    products = gram.flatten(-2).index_select(-1, _pairs(fields, places.device))
    return torch.cat((embedded.flatten(-2), products), dim=-1)


@cache
def _pairs(fields: int, device: torch.device) -> Tensor:
    """Where the pairs i < j are in a flat matrix of `fields` squared."""
    first, second = torch.triu_indices(fields, fields, offset=1, device=device)
    places: Tensor = first * fields + second
    return places


def _forward(values: Tensor, places: Tensor) -> Any:
    (batch, fields), (rows, dim) = places.shape, values.shape
    out = values.new_empty(batch, fields * dim + fields * (fields - 1) // 2)
    outside = torch.zeros(1, dtype=torch.int64)
    kernels.products(batch, fields, dim, places, values.contiguous(), rows, out, outside)
    if outside:
        raise IndexError(f"a row number is not below {rows}")
    return out, (places, out), (values.shape,)


def _backward(wants: Wants, gradient: Tensor, places: Tensor, out: Tensor, shape: Any) -> Any:
    sums, (batch, fields) = out.new_zeros(shape), places.shape
    kernels.product_sums(fields, batch, shape[1], places, out, gradient.contiguous(), sums)
    return (sums,)


# Values `[R, dim]` and places `[B, F]` -> embeddings and products, `[B, F dim + pairs]`.
inner_products = Operation("InnerProducts", _reference, _forward, _backward, fits=of_one_run(1))
