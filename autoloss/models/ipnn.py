"""IPNN (Qu et al., ICDM 2016), as in the paper's §2.2.4: h_out = MLP(l_fm, E), logits by Eq. 6.

What l_fm is here, the paper does not say. It is read as in the library that the paper builds on:
all pairwise inner products, beside the embeddings E, and no linear terms. (That library's IPNN has
a member `linear`, which its forward pass does not use.)
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from autoloss.config import ModelOptions
from autoloss.folder import Info
from autoloss.layers.embedding import FieldEmbedding
from autoloss.layers.tower import mlp
from autoloss.ops.inner_products import inner_products
from autoloss.task import Task


class IPNN(nn.Module):
    """Logits = MLP of the embeddings side by side with all pairwise inner products."""

    info = Info(
        label="IPNN",
        fidelity=(
            (
                "input of the tower",
                "§2.2.4",
                "MLP(l_fm, E)",
                "original's way",
                "E and all pairwise inner products, as in pytorch-fm",
                "T9",
            ),
            (
                "sizes",
                "§3.3",
                "embedding 16, MLP 2 × 128, batch norm, dropout 0.2, ReLU",
                "as written",
            ),
        ),
        paper="Qu et al., Product-based Neural Networks, ICDM 2016",
    )
    reads_rows = True  # see FunctionalModel

    def __init__(self, field_sizes: Sequence[int], task: Task, options: ModelOptions) -> None:
        super().__init__()
        fields = len(field_sizes)
        self.binary = task.binary
        self.embedding = FieldEmbedding(field_sizes, options.embedding_dim)
        inputs = fields * options.embedding_dim + fields * (fields - 1) // 2
        self.mlp = mlp(inputs, task.outputs, options)

    def forward(self, ids: Tensor) -> Tensor:
        """`int64[B, F]` -> logits `[B]` (binary) or `[B, C]`."""
        logits: Tensor = self.mlp(inner_products(*self.embedding.source(ids)))
        return logits.squeeze(-1) if self.binary else logits
