"""AutoInt (Song et al., CIKM 2019), a target of the paper's Figure 3: fields attend to fields.

The layers are those of their Eq. 5 to 8: no scaling of the scores, no bias, no dropout, no layer
norm (the authors' code has all four, and a ReLU on each projection). What stands beside them is as
in the library the paper builds on: linear terms and a tower of the plain embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from autoloss.config import ModelOptions
from autoloss.folder import Info
from autoloss.layers.attention import Interacting
from autoloss.layers.embedding import FieldEmbedding
from autoloss.layers.linear import Linear
from autoloss.layers.tower import mlp
from autoloss.task import Task


class AutoInt(nn.Module):
    """Logits = bias + linear terms + linear output of the attention layers + MLP(embeddings).

    With C classes all four have C outputs.
    """

    info = Info(
        label="AutoInt",
        fidelity=(
            (
                "attention",
                "AutoInt, Eq. 5-8",
                "no scaling, bias, dropout or layer norm",
                "original's way",
                "the same; its code has them",
                "T8",
            ),
            (
                "layers, heads, width",
                "AutoInt, code",
                "3 layers of 2 heads, 64 wide together",
                "original's way",
                "the same",
                "T8",
            ),
            (
                "beside it",
                "§3.5",
                "AutoInt, no more is said",
                "original's way",
                "linear terms and a tower, as in pytorch-fm",
                "T8",
            ),
            (
                "embedding and tower",
                "§3.3",
                "embedding 16, MLP 2 × 128, batch norm, dropout 0.2, ReLU",
                "as written",
            ),
        ),
        paper="Song et al., AutoInt, CIKM 2019",
        options={
            "attention_dim": {"default": 16, "ge": 1, "description": "of all heads together"},
            "attention_heads": {"default": 2, "ge": 1, "divides": "attention_dim"},
            "attention_layers": {"default": 3, "ge": 1},
        },
    )
    reads_rows = True  # see FunctionalModel

    def __init__(self, field_sizes: Sequence[int], task: Task, options: ModelOptions) -> None:
        super().__init__()
        fields, width = len(field_sizes), options.attention_dim
        self.binary = task.binary
        self.embedding = FieldEmbedding(field_sizes, options.embedding_dim)
        self.linear = FieldEmbedding(field_sizes, task.outputs)
        self.bias = nn.Parameter(torch.zeros(task.outputs))
        inputs = [options.embedding_dim, *[width] * (options.attention_layers - 1)]
        heads = options.attention_heads
        self.attention = nn.Sequential(*(Interacting(n, width, heads) for n in inputs))
        self.out = Linear(fields * width, task.outputs, bias=False)
        self.mlp = mlp(fields * options.embedding_dim, task.outputs, options)

    def forward(self, ids: Tensor) -> Tensor:
        """`int64[B, F]` -> logits `[B]` (binary) or `[B, C]`."""
        embedded = self.embedding(ids)
        first = self.linear(ids).sum(dim=-2) + self.bias.unsqueeze(-2)
        attended = self.out(self.attention(embedded).flatten(-2))
        logits: Tensor = first + attended + self.mlp(embedded.flatten(-2))
        return logits.squeeze(-1) if self.binary else logits
