"""DeepFM (Guo et al., IJCAI 2017), as in the paper's §2.2.4: output = FM(E) + MLP(E)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from autoloss.config import ModelOptions
from autoloss.models.embedding import FieldEmbedding
from autoloss.models.mlp import mlp
from autoloss.models.products import wanted
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
        first = self.linear(ids).sum(dim=1) + self.bias
        deep = self.mlp(embedded.flatten(1))
        # After the MLP, whose gradient is then added to this one's in place.
        second: Tensor = _PairSum.apply(embedded)  # type: ignore[no-untyped-call]
        if self.spread is not None:
            second = second * self.spread
        logits: Tensor = first + second + deep
        return logits.squeeze(-1) if self.spread is None else logits


class _PairSum(torch.autograd.Function):
    """Sum over pairs i < j of <e_i, e_j>, `[B, F, dim] -> [B, 1]`, in a half of autograd's time.

    It is (|sum e|^2 - sum |e|^2) / 2 (Rendle 2010, Eq. 3).
    """

    @staticmethod
    def forward(ctx: Any, embedded: Tensor) -> Tensor:
        ctx.save_for_backward(embedded)
        norms = torch.linalg.vector_norm(embedded.flatten(1), dim=1, keepdim=True)
        pairs: Tensor = embedded.sum(dim=1).square().sum(dim=1, keepdim=True) - norms.square()
        return pairs / 2

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        found: Tensor = _PairSlope.apply(*ctx.saved_tensors, gradient)  # type: ignore[no-untyped-call]
        return found


class _PairSlope(torch.autograd.Function):
    """The gradient of `_PairSum`, s (sum e - e_i) for s `[B, 1]`: linear, and symmetric, in e."""

    @staticmethod
    def forward(ctx: Any, embedded: Tensor, scale: Tensor) -> Tensor:
        ctx.save_for_backward(embedded, scale)
        scale = scale.unsqueeze(-1)
        total = scale * embedded.sum(dim=1, keepdim=True)
        return torch.addcmul(total, scale, embedded, value=-1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        embedded, scale = ctx.saved_tensors
        of_embedded = of_scale = None
        if wanted(ctx, 0):
            of_embedded = _PairSlope.apply(gradient, scale)  # type: ignore[no-untyped-call]
        if wanted(ctx, 1):
            of_scale = _paired(embedded, gradient)
        return of_embedded, of_scale


def _paired(a: Tensor, b: Tensor) -> Tensor:
    """Sum over i != j of <a_i, b_j>, `[B, 1]`."""
    totals = (a.sum(dim=1) * b.sum(dim=1)).sum(dim=1, keepdim=True)
    return totals - (a * b).flatten(1).sum(dim=1, keepdim=True)
