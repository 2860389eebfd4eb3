"""DeepFM (Guo et al., IJCAI 2017), as in the paper's §2.2.4: output = FM(E) + MLP(E)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autoloss.config import ModelOptions
from autoloss.models.embedding import FieldEmbedding
from autoloss.models.mlp import mlp
from autoloss.task import Task


class DeepFM(nn.Module):
    """Logits = bias + linear terms + pairwise inner products + MLP of the embeddings.

    With C classes the linear terms, the bias and the MLP have C outputs; the FM's inner-product
    sum, a scalar, is spread over the classes by a learned vector.
    """

    reads_rows = True  # see FunctionalModel

    def __init__(self, field_sizes: Sequence[int], task: Task, options: ModelOptions) -> None:
        super().__init__()
        self.embedding = FieldEmbedding(field_sizes, options.embedding_dim)
        self.linear = FieldEmbedding(field_sizes, task.outputs)
        self.bias = nn.Parameter(torch.zeros(task.outputs))
        self.mlp = mlp(len(field_sizes) * options.embedding_dim, task.outputs, options)
        self.spread = None if task.binary else nn.Parameter(torch.randn(task.outputs) * 0.1)

    def forward(self, ids: Tensor) -> Tensor:
        """`int64[B, F]` -> logits `[B]` (binary) or `[B, C]`."""
        embedded = self.embedding(ids)
        total, flat = embedded.sum(dim=1), embedded.flatten(1)
        first = self.linear(ids).sum(dim=1) + self.bias
        # sum over pairs i<j of <e_i, e_j> = (|sum e|^2 - sum |e|^2) / 2  (Rendle 2010, Eq. 3)
        second = ((total * total).sum(-1, keepdim=True) - (flat * flat).sum(-1, keepdim=True)) / 2
        if self.spread is not None:
            second = second * self.spread
        logits: Tensor = first + second + self.mlp(flat)
        return logits.squeeze(-1) if self.spread is None else logits
