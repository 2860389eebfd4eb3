"""NFM (He & Chua, SIGIR 2017), a target of the paper's Figure 3: MLP over the pooled pairs."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autoloss.config import ModelOptions
from autoloss.folder import Info
from autoloss.layers.batch_norm import BatchNorm
from autoloss.layers.dropout import Dropout
from autoloss.layers.embedding import FieldEmbedding
from autoloss.layers.tower import mlp
from autoloss.task import Task


class NFM(nn.Module):
    """Logits = bias + linear terms + MLP(bi-interaction pooling of the embeddings).

    With C classes the linear terms, the bias and the MLP have C outputs.
    """

    info = Info(
        label="NFM",
        fidelity=(
            ("pooling", "NFM, Eq. 3-4", "sum of the pairs' elementwise products", "original's way"),
            (
                "pooled vector",
                "NFM, code",
                "batch norm, then dropout",
                "original's way",
                "the same",
                "T7",
            ),
            (
                "sizes",
                "§3.3",
                "embedding 16, MLP 2 × 128, batch norm, dropout 0.2, ReLU",
                "as written",
                "the same",
                "T7",
            ),
        ),
        paper="He & Chua, Neural Factorization Machines, SIGIR 2017",
    )
    reads_rows = True  # see FunctionalModel

    def __init__(self, field_sizes: Sequence[int], task: Task, options: ModelOptions) -> None:
        super().__init__()
        self.binary = task.binary
        self.embedding = FieldEmbedding(field_sizes, options.embedding_dim)
        self.linear = FieldEmbedding(field_sizes, task.outputs)
        self.bias = nn.Parameter(torch.zeros(task.outputs))
        # They normalise and drop out the pooled vector too; the order is their code's.
        norm = [BatchNorm(options.embedding_dim)] if options.batch_norm else []
        self.pooled = nn.Sequential(*norm, Dropout(options.dropout))
        self.mlp = mlp(options.embedding_dim, task.outputs, options)

    def forward(self, ids: Tensor) -> Tensor:
        """`int64[B, F]` -> logits `[B]` (binary) or `[B, C]`."""
        first = self.linear(ids).sum(dim=-2) + self.bias.unsqueeze(-2)
        logits: Tensor = first + self.mlp(self.pooled(pool_pairs(self.embedding(ids))))
        return logits.squeeze(-1) if self.binary else logits


def pool_pairs(embedded: Tensor) -> Tensor:
    """Sum over pairs i < j of e_i * e_j, element by element: `[B, F, dim] -> [B, dim]`.

    It is ((sum e)^2 - sum e^2) / 2 (their Eq. 3 and 4).
    """
    return (embedded.sum(dim=-2).square() - embedded.square().sum(dim=-2)) / 2
