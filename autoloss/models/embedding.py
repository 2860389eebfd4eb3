"""One embedding table for all fields: field-local ids are shifted into it by offsets.

A lookup, not an `EmbeddingBag`: the latter's gradient has no second derivative, which a
hypergradient needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from autoloss.kernels import tables as kernels
from autoloss.kernels.runtime import fits


class Window(NamedTuple):
    """Rows `values` `[R, dim]` of a table, read by one batch in the place of the table.

    `places` `[B, F]` says which row each id looks up.
    """

    values: Tensor
    places: Tensor


# Both in the form `forward(ctx, ...)`: torch inspects the signature of the newer at every call.
class LookUp(torch.autograd.Function):
    """`values[places]`, `[R, dim]` and `[B, F]` -> `[B, F, dim]`; fields have rows of their own."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Tensor) -> Tensor:
        """See the class."""
        ctx.places, ctx.rows = places, len(values)
        return values.index_select(0, places.flatten()).view(*places.shape, -1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Of the values."""
        return RowSums.apply(gradient, ctx.places, ctx.rows), None  # type: ignore[no-untyped-call]


class RowSums(torch.autograd.Function):
    """The transpose of `LookUp`, and the other way round: so both have all derivatives."""

    @staticmethod
    def forward(ctx: Any, looked_up: Tensor, places: Tensor, rows: int) -> Tensor:
        """`[B, F, dim]` -> `[rows, dim]`."""
        ctx.places = places
        batch, fields, dim = looked_up.shape
        sums = looked_up.new_zeros(rows, dim)
        if not fits(looked_up):
            return sums.index_add_(0, places.flatten(), looked_up.reshape(-1, dim))
        kernels.sums(fields, batch, dim, places, looked_up.contiguous(), sums)
        return sums

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Of what was looked up."""
        return LookUp.apply(gradient, ctx.places), None, None  # type: ignore[no-untyped-call]


class FieldEmbedding(nn.Module):
    """Embeddings of `F` categorical fields, `int64[B, F] -> [B, F, dim]`.

    Args:
        field_sizes: values per field; ids of field f are 0 .. field_sizes[f]-1.
        dim: width of an embedding.
    """

    offsets: Tensor
    window: Window | None = None  # what to read in the place of the table, if anything
    refresh: Callable[[FieldEmbedding, Tensor], None] | None = None  # see DeferredAdam

    def __init__(self, field_sizes: Sequence[int], dim: int) -> None:
        super().__init__()
        starts = torch.tensor([0, *field_sizes[:-1]]).cumsum(0)
        self.register_buffer("offsets", starts, persistent=False)
        self.weight = nn.Parameter(torch.empty(sum(field_sizes), dim))
        nn.init.xavier_uniform_(self.weight)
        self._bounds = torch.tensor([0, *field_sizes]).cumsum(0)
        self._slots: Tensor | None = None

    def forward(self, ids: Tensor) -> Tensor:
        """Look up `[B, F]` ids, giving `[B, F, dim]`."""
        found: Tensor = LookUp.apply(*self.source(ids))  # type: ignore[no-untyped-call]
        return found

    def source(self, ids: Tensor) -> Window:
        """Where `[B, F]` ids are looked up: in the window, or in the whole table."""
        if self.window is not None:
            return self.window
        rows = (ids + self.offsets).contiguous()
        if self.refresh is not None:
            self.refresh(self, rows)
        return Window(self.weight, rows)

    def distinct(self, batches: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The rows `[R]` that batches of ids `[B, F]` read, each once, and each id's place there.

        Rows of a field lie together, in the fields' order.

        Raises:
            IndexError: an id is negative, or not below the size of its field (checked on CPUs).
        """
        if self.offsets.device.type != "cpu":
            rows = [ids + self.offsets for ids in batches]
            found, places = torch.unique(torch.cat(rows), return_inverse=True)
            return found, list(torch.split(places, [len(ids) for ids in batches]))
        fields, room = len(self.offsets), sum(len(ids) for ids in batches)
        kind = torch.uint16 if room < 2**16 else torch.int32
        if self._slots is None or self._slots.dtype is not kind:
            self._slots = torch.zeros(len(self.weight), dtype=kind)
        numbered = torch.empty(fields, room, dtype=torch.int32)
        numbers = torch.empty_like(numbered)
        counts = torch.empty(fields, dtype=torch.int64)
        given = [ids.long().contiguous() for ids in batches]
        to = [torch.empty_like(ids) for ids in given]
        each = [x for ids, one in zip(given, to, strict=True) for x in (len(ids), ids, one)]
        both = numbered, counts, room, numbers, len(given), *each
        kernels.number(fields, self._bounds, self._slots, *both)
        ends = counts.cumsum(0)
        if (total := int(ends[-1])) < 0:
            raise IndexError("an id is not below the size of its field")
        starts, found = ends - counts, counts.new_empty(total)
        kernels.place(fields, starts, found, *both)
        return found, to
