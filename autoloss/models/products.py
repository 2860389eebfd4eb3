"""Matrix products by oneDNN: up to twice as fast as torch's usual way on a CPU.

torch multiplies `float32` matrices by MKL, which uses AVX-512 on Intel's processors alone. oneDNN,
which every CPU build of torch has too, uses what there is (docs/performance.md has the figures).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from autoloss.kernels.runtime import fits
from autoloss.kernels.transpose import transposed

SMALLEST = 16  # rows or columns: below this, a call costs more than it saves
NARROW = 64  # columns for which copying a transposed left side costs more than it saves


def _one_dnn() -> Any:
    """a, b, bias, ... -> a b^T + bias by oneDNN, or None where torch was built without it."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    found = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    return found and found.default


_ONE_DNN = _one_dnn()


def multiply(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """a b^T + bias for a `[k, n]`, b `[m, n]`, bias `[m]`; no gradient goes through."""
    large = min(*a.shape, len(b)) >= SMALLEST
    if large and _ONE_DNN and fits(a):
        turned = not a.is_contiguous() and a.t().is_contiguous()
        if not (turned and len(b) < NARROW):
            a = transposed(a.t()) if turned else a  # it would copy a itself, by torch
            found: Tensor = _ONE_DNN(a, b, bias, "none", [], "")
            return found
    return F.linear(a, b, bias)


def product(a: Tensor, b: Tensor) -> Tensor:
    """a b^T, with derivatives of any order where they are recorded."""
    if not torch.is_grad_enabled():
        return multiply(a, b)
    found: Tensor = _Product.apply(a, b)  # type: ignore[no-untyped-call]
    return found


def wanted(node: Any, k: int) -> bool:
    """In the backward pass of a Function: whether anybody asked for the gradient of its input `k`.

    torch's own operations ask this; `needs_input_grad` only says that it could be had. A
    hypergradient goes back along one path of the graph, so most of what it could have is not asked
    for.
    """
    if not node.needs_input_grad[k]:
        return False
    source = node.next_functions[k][0]
    is_leaf = hasattr(source, "variable")  # of a leaf this cannot be asked
    return is_leaf or torch._C._will_engine_execute_node(source)


class Linear(nn.Linear):
    """`nn.Linear`: the same parameters, values but for rounding, and derivatives."""

    def forward(self, x: Tensor) -> Tensor:
        """`[..., inputs] -> [..., outputs]`."""
        if min(self.in_features, self.out_features) < SMALLEST:
            return super().forward(x)
        y: Tensor = _Linear.apply(x.flatten(0, -2), self.weight, self.bias)  # type: ignore[no-untyped-call]
        return y.view(*x.shape[:-1], -1)


# All in the form `forward(ctx, ...)`: torch inspects the signature of the newer one at every call.
class _Linear(torch.autograd.Function):
    """x `[B, n]`, weight `[m, n]`, bias `[m]` or None -> `[B, m]`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return multiply(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return linear_slopes(ctx, gradient, *ctx.saved_tensors)


def linear_slopes(
    node: Any, gradient: Tensor, x: Tensor, weight: Tensor
) -> tuple[Tensor | None, ...]:
    """Of x, weight and bias, the first inputs of `node`, from the gradient of x weight^T + bias."""
    return (
        product(gradient, weight.t()) if wanted(node, 0) else None,
        product(gradient.t(), x.t()) if wanted(node, 1) else None,
        gradient.sum(dim=0) if wanted(node, 2) else None,
    )


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return multiply(a, b)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        return (
            product(gradient, b.t()) if wanted(ctx, 0) else None,
            product(gradient.t(), a.t()) if wanted(ctx, 1) else None,
        )
