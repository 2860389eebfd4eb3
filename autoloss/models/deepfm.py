"""DeepFM (Guo et al., IJCAI 2017), as in the paper's §2.2.4: h_out = l_fm + MLP(E).

l_fm is a factorisation machine (its Eq. 4): bias, linear terms and pairwise inner products of the
embeddings E, one number an example. How it and the tower's output add up the paper does not say:
with one output it is the usual sum, as in the library that the paper builds on; with C classes
l_fm is added to every unit of the last hidden layer, of which Eq. 6 makes the logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from autoloss.config import ModelOptions
from autoloss.folder import Info
from autoloss.layers.embedding import FieldEmbedding
from autoloss.layers.tower import mlp
from autoloss.ops.factorisation import factorise
from autoloss.task import Task


class DeepFM(nn.Module):
    """Logits = l_fm + MLP(E); with C classes W_o (l_fm + h) + b_o, h the last hidden layer."""

    info = Info(
        label="DeepFM",
        fidelity=(
            ("l_fm", "§2.2.4, Eq. 4", "linear terms and pairwise inner products", "as written"),
            (
                "output",
                "§2.2.4, Eq. 6",
                "σ(W_o (l_fm + MLP(E)) + b_o)",
                "as written",
                "l_fm, one number, is added to every unit of the last hidden layer",
                "T1",
            ),
            (
                "one output",
                "§2.2.4, Eq. 6",
                "how l_fm and the tower add up is not said",
                "original's way",
                "the sum of both, as in pytorch-fm",
                "T1",
            ),
            (
                "sizes",
                "§3.3",
                "embedding 16, MLP 2 × 128, batch norm, dropout 0.2, ReLU",
                "as written",
            ),
        ),
        paper="Guo et al., DeepFM, IJCAI 2017",
    )
    reads_rows = True  # see FunctionalModel

    def __init__(self, field_sizes: Sequence[int], task: Task, options: ModelOptions) -> None:
        super().__init__()
        self.binary = task.binary
        self.embedding = FieldEmbedding(field_sizes, options.embedding_dim)
        self.linear = FieldEmbedding(field_sizes, 1)
        self.bias = nn.Parameter(torch.zeros(1))
        self.mlp = mlp(len(field_sizes) * options.embedding_dim, task.outputs, options)

    def forward(self, ids: Tensor) -> Tensor:
        """`int64[B, F]` -> logits `[B]` (binary) or `[B, C]`."""
        (values, places), (linear, _) = self.embedding.source(ids), self.linear.source(ids)
        embedded, pairs, first = factorise(values, linear, places)
        machine: Tensor = pairs + first + self.bias.unsqueeze(-2)
        logits: Tensor = self.mlp(embedded.flatten(-2))
        if self.binary:
            return (logits + machine).squeeze(-1)
        # W_o (l_fm + h) + b_o = (W_o h + b_o) + l_fm times the sums of the rows of W_o
        out: Any = self.mlp[-1]
        sums: Tensor = out.weight.sum(dim=-1)
        return logits + machine * sums.unsqueeze(-2)
