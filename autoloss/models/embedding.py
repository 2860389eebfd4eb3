"""One embedding table for all fields: field-local ids are shifted into it by offsets.

`nn.Embedding`'s lookup, not `EmbeddingBag`'s: the latter's gradient has no second derivative,
which a hypergradient needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
        return F.embedding(ids + self.offsets, self.weight)
