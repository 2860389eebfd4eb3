"""A model as a function of its parameters, on the embedding rows of a few batches only.

A look-ahead step needs the model at other parameters and its gradient as a graph. What makes that
dear is the dense table; here each table is cut to the rows that the batches read, which gives the
same outputs and the same gradients (all other rows' are zero).
"""

from __future__ import annotations

from collections.abc import Container, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from autoloss.models.embedding import FieldEmbedding, Window, distinct


class FunctionalModel:
    """`model(params, k)`: logits of the k-th batch at `params`, buffers of the model untouched.

    Args:
        model: any module `ids -> logits`. If its class says `reads_rows = True` (ids are used only
            to look up `FieldEmbedding`s of all fields), its tables are cut to the rows in use.
        batches: ids `[B, F]` of the batches it will be called on.
        moves: names of the parameters that `params` holds; all the trainable ones if left out.

    `params` has these parameters' current values, as fresh leaves that require gradients.
    """

    def __init__(
        self, model: nn.Module, batches: Sequence[Tensor], moves: Container[str] | None = None
    ) -> None:
        self._model = model
        self.params: dict[str, Tensor] = {}
        self._fixed: dict[str, Tensor] = {}
        for name, value in model.named_parameters():
            if value.requires_grad and (moves is None or name in moves):
                self.params[name] = value.detach().requires_grad_()
            else:
                self._fixed[name] = value.detach()
        self._buffers = dict(model.named_buffers())
        self._ids = list(batches)
        self._tables: dict[str, FieldEmbedding] = {}
        self._groups: list[tuple[Tensor, Tensor, Tensor]] = []
        if getattr(model, "reads_rows", False):
            self._keep_rows()

    def _keep_rows(self) -> None:
        modules = self._model.named_modules()
        self._tables = {f"{name}.weight": m for name, m in modules if isinstance(m, FieldEmbedding)}
        offsets = next(iter(self._tables.values())).offsets
        sizes = [ids.numel() for ids in self._ids]
        rows, places, _, _ = distinct(torch.cat([(ids + offsets).flatten() for ids in self._ids]))
        for part in torch.split(places, sizes):
            counts = torch.bincount(part, minlength=len(rows))
            self._groups.append((part, part.int().sort().indices, counts.cumsum(0) - counts))
        for weight in self._tables:
            kept = self.params if weight in self.params else self._fixed
            kept[weight] = kept[weight].detach().index_select(0, rows)
            kept[weight].requires_grad_(kept is self.params)

    def __call__(self, params: dict[str, Tensor], k: int) -> Tensor:
        """Logits of batch `k`."""
        # Batch norm in training mode writes its running statistics: into copies, not the model's.
        buffers = {name: buffer.clone() for name, buffer in self._buffers.items()}
        everything = {**self._fixed, **params, **buffers}
        for weight, table in self._tables.items():
            table.window = Window(everything.pop(weight), *self._groups[k])
        try:
            logits: Tensor = functional_call(self._model, everything, (self._ids[k],))
        finally:
            for table in self._tables.values():
                table.window = None
        return logits


def decision_layers(model: nn.Module) -> set[str]:
    """Names of the parameters above the embeddings: what MeLU (Lee et al., KDD 2019) adapts."""
    embeddings = (FieldEmbedding, nn.Embedding, nn.EmbeddingBag)
    below = {
        f"{name}.{key}".removeprefix(".")
        for name, module in model.named_modules()
        if isinstance(module, embeddings)
        for key, _ in module.named_parameters()
    }
    return {name for name, _ in model.named_parameters()} - below
