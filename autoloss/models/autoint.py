"""AutoInt (Song et al., CIKM 2019), a target of the paper's Figure 3: fields attend to fields.

The layers are those of their Eq. 5 to 8: no scaling of the scores, no bias, no dropout, no layer
norm (the authors' code has all four, and a ReLU on each projection). What stands beside them is as
in the library the paper builds on: linear terms and a tower of the plain embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from autoloss.config import ModelOptions
from autoloss.kernels import attention as kernels
from autoloss.kernels.runtime import fits
from autoloss.models.embedding import FieldEmbedding
from autoloss.models.mlp import mlp
from autoloss.models.products import Linear
from autoloss.task import Task


class AutoInt(nn.Module):
    """Logits = bias + linear terms + linear output of the attention layers + MLP(embeddings).

    With C classes all four have C outputs.
    """

    reads_rows = True  # see FunctionalModel

    def __init__(self, field_sizes: Sequence[int], task: Task, options: ModelOptions) -> None:
        super().__init__()
        fields, width = len(field_sizes), options.attention_dim
        self.binary = task.binary
        self.embedding = FieldEmbedding(field_sizes, options.embedding_dim)
        self.linear = FieldEmbedding(field_sizes, task.outputs)
        self.bias = nn.Parameter(torch.zeros(task.outputs))
        inputs = [options.embedding_dim, *[width] * (options.attention_layers - 1)]
        self.attention = nn.Sequential(
            *(Interacting(n, width, options.attention_heads) for n in inputs)
        )
        self.out = Linear(fields * width, task.outputs, bias=False)
        self.mlp = mlp(fields * options.embedding_dim, task.outputs, options)

    def forward(self, ids: Tensor) -> Tensor:
        """`int64[B, F]` -> logits `[B]` (binary) or `[B, C]`."""
        embedded = self.embedding(ids)
        first = self.linear(ids).sum(dim=1) + self.bias
        attended = self.out(self.attention(embedded).flatten(1))
        logits: Tensor = first + attended + self.mlp(embedded.flatten(1))
        return logits.squeeze(-1) if self.binary else logits


class Interacting(nn.Module):
    """Multi-head self-attention over the fields: `[B, F, inputs] -> [B, F, width]`.

    `width` is of all heads together.
    """

    def __init__(self, inputs: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        # W_Query, W_Key, W_Value and W_Res, in rows by head: one matrix product for all.
        self.project = Linear(inputs, 4 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Their Eq. 5 to 8."""
        projected: Tensor = self.project(x)
        if not fits(projected):
            return attend(projected, self.heads)
        found: Tensor = _Attend.apply(projected, self.heads)  # type: ignore[no-untyped-call]
        return found


def attend(projected: Tensor, heads: int) -> Tensor:
    """`[B, F, 4 width]` -> `[B, F, width]`, with explicit products: second derivatives."""
    batch, fields, _ = projected.shape
    split = projected.view(batch, fields, 4, heads, -1).permute(2, 3, 0, 1, 4)
    query, key, value, residual = split.reshape(4, heads * batch, fields, -1).unbind()
    # [heads B, key, query]: torch's softmax over a last dimension of 8 takes 2.5 times as long.
    weights = torch.bmm(key, query.mT).softmax(dim=1)  # Eq. 5
    combined = torch.bmm(weights.mT, value)  # Eq. 6
    # Eq. 8 acts on single numbers, and so can come before the heads are joined (Eq. 7).
    out = (combined + residual).relu()
    return out.view(heads, batch, fields, -1).permute(1, 2, 0, 3).flatten(2)


# In the form `forward(ctx, ...)`: torch inspects the signature of the newer one at every call.
class _Attend(torch.autograd.Function):
    """`attend` in one pass forward and one back; the second derivative is `attend`'s own."""

    @staticmethod
    def forward(ctx: Any, projected: Tensor, heads: int) -> Tensor:
        projected = projected.contiguous()
        batch, fields, width = *projected.shape[:2], projected.shape[2] // 4
        blocks = -(-batch // kernels.LANES)
        lanes = projected.new_empty(blocks, 4 * fields * width, kernels.LANES)
        weights = projected.new_empty(blocks, heads * fields**2, kernels.LANES)
        out = projected.new_empty(batch, fields, width)
        sizes = blocks, batch, fields, heads, width // heads
        kernels.forward(*sizes, projected, lanes, weights, out)
        ctx.save_for_backward(projected, out)
        ctx.sizes, ctx.inner = sizes, (lanes, weights)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        projected, out = ctx.saved_tensors
        if torch.is_grad_enabled():
            projected = projected.view_as(projected)  # hooks on the tensor see no gradient twice
            again = attend(projected, ctx.sizes[3])
            (found,) = torch.autograd.grad(again, projected, gradient, create_graph=True)
            return found, None
        found = torch.empty_like(projected)
        kernels.backward(*ctx.sizes, *ctx.inner, out, gradient.contiguous(), found)
        return found, None
