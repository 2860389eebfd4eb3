"""IPNN (Qu et al., ICDM 2016), the paper's §2.2.4: output = MLP(embeddings, inner products)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autoloss.config import ModelOptions
from autoloss.models.embedding import FieldEmbedding
from autoloss.models.mlp import mlp
from autoloss.task import Task


class IPNN(nn.Module):
    """Logits = MLP of the embeddings side by side with all pairwise inner products."""

    reads_rows = True  # see FunctionalModel
    pairs: Tensor

    def __init__(self, field_sizes: Sequence[int], task: Task, options: ModelOptions) -> None:
        super().__init__()
        fields = len(field_sizes)
        self.binary = task.binary
        self.embedding = FieldEmbedding(field_sizes, options.embedding_dim)
        first, second = torch.triu_indices(fields, fields, offset=1)
        self.register_buffer("pairs", first * fields + second, persistent=False)
        inputs = fields * options.embedding_dim + len(first)
        self.mlp = mlp(inputs, task.outputs, options)

    def forward(self, ids: Tensor) -> Tensor:
        """`int64[B, F]` -> logits `[B]` (binary) or `[B, C]`."""
        embedded = self.embedding(ids)
        gram = embedded @ embedded.transpose(1, 2)
        products = gram.flatten(1).index_select(1, self.pairs)
        logits: Tensor = self.mlp(torch.cat((embedded.flatten(1), products), dim=1))
        return logits.squeeze(-1) if self.binary else logits
