"""One embedding table for all fields: field-local ids are shifted into it by offsets.

A lookup, not an `EmbeddingBag`: the latter's gradient has no second derivative, which a
hypergradient needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class FieldEmbedding(nn.Module):
    """Embeddings of `F` categorical fields, `int64[B, F] -> [B, F, dim]`.

    Args:
        field_sizes: values per field; ids of field f are 0 .. field_sizes[f]-1.
        dim: width of an embedding.
    """

    offsets: Tensor

    def __init__(self, field_sizes: Sequence[int], dim: int) -> None:
        super().__init__()
        starts = torch.tensor([0, *field_sizes[:-1]]).cumsum(0)
        self.register_buffer("offsets", starts, persistent=False)
        self.weight = nn.Parameter(torch.empty(sum(field_sizes), dim))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, ids: Tensor) -> Tensor:
        """Look up `[B, F]` ids, giving `[B, F, dim]`."""
        rows = (ids + self.offsets).flatten()
        # index_select: the same values as F.embedding, and a backward pass five times as fast.
        return self.weight.index_select(0, rows).view(*ids.shape, -1)
