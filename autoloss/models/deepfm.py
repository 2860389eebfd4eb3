"""DeepFM (Guo et al., IJCAI 2017), as in the paper's §2.2.4: output = FM(E) + MLP(E)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from autoloss.asked import wanted
from autoloss.config import ModelOptions
from autoloss.kernels import tables as kernels
from autoloss.kernels.runtime import fits
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
        if fits(self.embedding.weight, self.linear.weight):
            (values, places), (linear, _) = self.embedding.source(ids), self.linear.source(ids)
            embedded, pairs, first = _Factors.apply(values, linear, places)  # type: ignore[no-untyped-call]
        else:
            embedded, first = self.embedding(ids), self.linear(ids).sum(dim=1)
            pairs = _PairSum.apply(embedded)  # type: ignore[no-untyped-call]
        second = pairs if self.spread is None else pairs * self.spread
        logits: Tensor = self.mlp(embedded.flatten(1)) + second + first + self.bias
        return logits.squeeze(-1) if self.spread is None else logits


class _Factors(torch.autograd.Function):
    """Factorisation machine: `[R, dim]`, `[R, C]` and places `[B, F]` -> embedded, pairs, first.

    `embedded` `[B, F, dim]`; `pairs` `[B, 1]`, as of `_PairSum`; `first` `[B, C]`, the sum of
    linear terms. On a CPU in single precision.
    """

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, linear: Tensor, places: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        (batch, fields), (rows, dim), outputs = places.shape, values.shape, linear.shape[1]
        embedded, total = values.new_empty(batch, fields, dim), values.new_empty(batch, dim)
        pairs, first = values.new_empty(batch, 1), values.new_empty(batch, outputs)
        outside = torch.zeros(1, dtype=torch.int64)
        given = places, values.contiguous(), linear.contiguous(), rows
        found = embedded, total, pairs, first, outside
        kernels.factors(batch, fields, dim, outputs, *given, *found)
        if outside:
            raise IndexError(f"a row number is not below {rows}")
        ctx.save_for_backward(embedded, total)
        ctx.places, ctx.rows = places, rows
        return embedded, pairs, first

    @staticmethod
    def backward(
        ctx: Any, of_embedded: Tensor, of_pairs: Tensor, of_first: Tensor
    ) -> tuple[Tensor, Tensor, None]:
        function: Any = _FactorSlopes.apply if torch.is_grad_enabled() else _factor_slopes
        given = [x.contiguous() for x in (of_embedded, of_pairs, of_first)]
        of_values, of_linear = function(*given, *ctx.saved_tensors, ctx.places, ctx.rows)
        return of_values, of_linear, None


def _factor_slopes(
    of_embedded: Tensor,
    of_pairs: Tensor,
    of_first: Tensor,
    embedded: Tensor,
    total: Tensor,
    places: Tensor,
    rows: int,
) -> tuple[Tensor, Tensor]:
    (batch, fields, dim), outputs = embedded.shape, of_first.shape[1]
    found = embedded.new_zeros(rows, dim), embedded.new_zeros(rows, outputs)
    given = places, embedded, total, of_embedded, of_pairs, of_first
    kernels.factor_sums(fields, batch, dim, outputs, *given, *found)
    return found


class _FactorSlopes(torch.autograd.Function):
    """The gradient of `_Factors`: linear in what it is given, and in `embedded`."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> tuple[Tensor, Tensor]:
        _, of_pairs, _, embedded, total, ctx.places, _ = given
        ctx.save_for_backward(of_pairs, embedded, total)
        return _factor_slopes(*given)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor, vl: Tensor) -> tuple[Tensor | None, ...]:
        of_pairs, embedded, total = ctx.saved_tensors
        (batch, fields, dim), outputs = embedded.shape, vl.shape[1]
        pulls = torch.empty_like(embedded), torch.empty_like(of_pairs)
        firsts = embedded.new_empty(batch, outputs)
        given = ctx.places, embedded, total, v.contiguous(), vl.contiguous()
        kernels.factor_pulls(batch, fields, dim, outputs, *given, *pulls, firsts)
        # s (sum e - e_i) is symmetric in e. The total is a function of it too, counted here.
        of_embedded = _pair_slope(pulls[0], of_pairs) if wanted(ctx, 3) else None
        return (*pulls, firsts, of_embedded, None, None, None)


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
        return _pair_slope(embedded, scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        embedded, scale = ctx.saved_tensors
        of_embedded = of_scale = None
        if wanted(ctx, 0):
            of_embedded = _PairSlope.apply(gradient, scale)  # type: ignore[no-untyped-call]
        if wanted(ctx, 1):
            of_scale = _paired(embedded, gradient)
        return of_embedded, of_scale


def _pair_slope(embedded: Tensor, scale: Tensor) -> Tensor:
    scale = scale.unsqueeze(-1)
    total = scale * embedded.sum(dim=1, keepdim=True)
    return torch.addcmul(total, scale, embedded, value=-1)


def _paired(a: Tensor, b: Tensor) -> Tensor:
    """Sum over i != j of <a_i, b_j>, `[B, 1]`."""
    totals = (a.sum(dim=1) * b.sum(dim=1)).sum(dim=1, keepdim=True)
    return totals - (a * b).flatten(1).sum(dim=1, keepdim=True)
