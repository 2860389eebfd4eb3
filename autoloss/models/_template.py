"""A model to start from: DCN-V2 (Wang et al., WWW 2021), its cross layers beside a tower.

It works as it is: replace the layers and the option.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from autoloss.config import ModelOptions
from autoloss.folder import Info
from autoloss.layers.embedding import FieldEmbedding
from autoloss.layers.linear import Linear
from autoloss.layers.tower import mlp
from autoloss.task import Task


class Template(nn.Module):
    """Logits = linear output of the cross layers + MLP(E), E the embeddings side by side."""

    info = Info(
        label="Template",
        paper="Authors, Title, Venue Year",
        options={"template_layers": {"default": 2, "ge": 1, "description": "cross layers"}},
    )
    reads_rows = True  # ids only look up all fields' FieldEmbeddings: training reads no others

    def __init__(self, field_sizes: Sequence[int], task: Task, options: ModelOptions) -> None:
        super().__init__()
        width = len(field_sizes) * options.embedding_dim
        self.binary = task.binary
        self.embedding = FieldEmbedding(field_sizes, options.embedding_dim)
        self.crosses = nn.ModuleList(Linear(width, width) for _ in range(options.template_layers))
        self.out = Linear(width, task.outputs, bias=False)
        self.mlp = mlp(width, task.outputs, options)

    def forward(self, ids: Tensor) -> Tensor:
        """`int64[B, F]` -> logits `[B]` (binary) or `[B, C]`."""
        crossed = embedded = self.embedding(ids).flatten(-2)
        for cross in self.crosses:
            crossed = embedded * cross(crossed) + crossed
        logits: Tensor = self.out(crossed) + self.mlp(embedded)
        return logits.squeeze(-1) if self.binary else logits
