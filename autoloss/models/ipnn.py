"""IPNN (Qu et al., ICDM 2016), the paper's §2.2.4: output = MLP(embeddings, inner products)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from autoloss.config import ModelOptions
from autoloss.kernels import tables as kernels
from autoloss.kernels.runtime import fits
from autoloss.models.embedding import FieldEmbedding, LookUp
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
        if fits(self.embedding.weight):
            found = _Products.apply(*self.embedding.source(ids), self.pairs)  # type: ignore[no-untyped-call]
        else:
            found = with_products(self.embedding(ids), self.pairs)
        logits: Tensor = self.mlp(found)
        return logits.squeeze(-1) if self.binary else logits


def with_products(embedded: Tensor, pairs: Tensor) -> Tensor:
    """`[B, F, dim]` -> `[B, F dim + pairs]`: inner products of pairs of fields behind."""
    gram = embedded @ embedded.transpose(1, 2)
    products = gram.flatten(1).index_select(1, pairs)
    return torch.cat((embedded.flatten(1), products), dim=1)


# In the form `forward(ctx, ...)`: torch inspects the signature of the newer one at every call.
class _Products(torch.autograd.Function):
    """`with_products` of looked-up rows in one pass; the second derivative is that one's own."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, places: Tensor, pairs: Tensor) -> Tensor:
        (batch, fields), (rows, dim) = places.shape, values.shape
        out = values.new_empty(batch, fields * dim + len(pairs))
        outside = torch.zeros(1, dtype=torch.int64)
        kernels.products(batch, fields, dim, places, values.contiguous(), rows, out, outside)
        if outside:
            raise IndexError(f"a row number is not below {rows}")
        ctx.save_for_backward(values, out)
        ctx.places, ctx.pairs = places, pairs
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        values, out = ctx.saved_tensors
        if torch.is_grad_enabled():
            values = values.view_as(values)  # hooks on the tensor itself see no gradient twice
            embedded = LookUp.apply(values, ctx.places)  # type: ignore[no-untyped-call]
            again = with_products(embedded, ctx.pairs)
            (found,) = torch.autograd.grad(again, values, gradient, create_graph=True)
            return found, None, None
        found, (batch, fields) = torch.zeros_like(values), ctx.places.shape
        given = ctx.places, out, gradient.contiguous(), found
        kernels.product_sums(fields, batch, values.shape[1], *given)
        return found, None, None
