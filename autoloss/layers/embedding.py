"""One embedding table for all fields: field-local ids are shifted into it by offsets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from autoloss.ops.lookup import distinct_rows, lookup, slots_for


class Window(NamedTuple):
    """Rows `values` `[R, dim]` of a table, read by one batch in the place of the table.

    `places` `[B, F]` says which row each id looks up.
    """

    values: Tensor
    places: Tensor


class FieldEmbedding(nn.Module):
    """Embeddings of `F` categorical fields, `int64[B, F] -> [B, F, dim]`.

    Of a stack the tables lie one under the other: `bounds` is `[S, F + 1]`, a last row is nobody's
    (see `distinct_rows`), and ids and places are `[S, B, F]`.

    Args:
        field_sizes: values per field; ids of field f are 0 .. field_sizes[f]-1.
        dim: width of an embedding.
    """

    bounds: Tensor  # field f has the rows from bounds[f] to bounds[f + 1]
    spans: Sequence[tuple[int, int]] = ()  # of a stack: where each run's rows begin and end
    window: Window | None = None  # what to read in the place of the table, if anything
    refresh: Callable[[FieldEmbedding, Tensor], None] | None = None  # see DeferredAdam

    def __init__(self, field_sizes: Sequence[int], dim: int) -> None:
        super().__init__()
        bounds = torch.tensor([0, *field_sizes]).cumsum(0)
        self.register_buffer("bounds", bounds, persistent=False)
        self.weight = nn.Parameter(torch.empty(sum(field_sizes), dim))
        nn.init.xavier_uniform_(self.weight)
        self._slots: Tensor | None = None

    def forward(self, ids: Tensor) -> Tensor:
        """Look up `[B, F]` ids, giving `[B, F, dim]`."""
        embedded: Tensor = lookup(*self.source(ids))
        return embedded

    def source(self, ids: Tensor) -> Window:
        """Where `[B, F]` ids are looked up: in the window, or in the whole table."""
        if self.window is not None:
            return self.window
        rows = (ids + self.bounds[..., :-1].unsqueeze(-2)).contiguous()
        if self.refresh is not None:
            self.refresh(self, rows)
        return Window(self.weight, rows)

    def distinct(self, batches: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """The rows `[R]` that batches of ids `[B, F]` read, each once, and each id's place there.

        Rows of a field lie together, in the fields' order. Of a stack there are as many as ids; the
        last are the one that is nobody's.

        Raises:
            IndexError: an id is negative, or not below the size of its field (checked on CPUs).
        """
        self._slots = slots_for(self.weight, batches, self._slots)
        return distinct_rows(batches, self.bounds, self._slots)
