"""One embedding table for all fields: field-local ids are shifted into it by offsets.

A lookup, not an `EmbeddingBag`: the latter's gradient has no second derivative, which a
hypergradient needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Window(NamedTuple):
    """Some rows of a table, read by one batch in the place of the table.

    `values` `[R, dim]` are the rows and `places` `[B F]` says which one each id looks up. In
    `order` `[B F]` look-ups are grouped by row; `starts` `[R]` are the groups' beginnings.
    """

    values: Tensor
    places: Tensor
    order: Tensor
    starts: Tensor


class _LookUp(torch.autograd.Function):
    """`values[places]`; the gradient sums each row's group at once, in a fifth of the time."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, window: Window) -> Tensor:
        ctx.window = window
        return values.index_select(0, window.places)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _GroupSum.apply(gradient, ctx.window), None  # type: ignore[no-untyped-call]


class _GroupSum(torch.autograd.Function):
    """The transpose of `_LookUp`, and the other way round: so both have all derivatives."""

    @staticmethod
    def forward(ctx: Any, looked_up: Tensor, window: Window) -> Tensor:
        ctx.window = window
        return F.embedding_bag(window.order, looked_up, window.starts, mode="sum")

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _LookUp.apply(gradient, ctx.window), None  # type: ignore[no-untyped-call]


def distinct(ids: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The distinct of `ids` `[n]`, ascending, and a window's `places`, `order` and `starts`."""
    values, order = ids.int().sort()
    is_first = torch.ones_like(values, dtype=torch.bool)
    torch.ne(values[1:], values[:-1], out=is_first[1:])
    starts = is_first.nonzero().flatten()
    places = torch.empty_like(order).index_copy_(0, order, is_first.cumsum(0) - 1)
    return values.index_select(0, starts).long(), places, order, starts


class FieldEmbedding(nn.Module):
    """Embeddings of `F` categorical fields, `int64[B, F] -> [B, F, dim]`.

    Args:
        field_sizes: values per field; ids of field f are 0 .. field_sizes[f]-1.
        dim: width of an embedding.
    """

    offsets: Tensor
    window: Window | None = None  # what to read in the place of the table, if anything

    def __init__(self, field_sizes: Sequence[int], dim: int) -> None:
        super().__init__()
        starts = torch.tensor([0, *field_sizes[:-1]]).cumsum(0)
        self.register_buffer("offsets", starts, persistent=False)
        self.weight = nn.Parameter(torch.empty(sum(field_sizes), dim))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Look up `[B, F]` ids, giving `[B, F, dim]`."""
        if self.window is not None:
            found: Tensor = _LookUp.apply(self.window.values, self.window)  # type: ignore[no-untyped-call]
            return found.view(*ids.shape, -1)
        rows = (ids + self.offsets).flatten()
        # index_select: the same values as F.embedding, and a backward pass five times as fast.
        return self.weight.index_select(0, rows).view(*ids.shape, -1)
