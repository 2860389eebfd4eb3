"""Matrix products by oneDNN: up to twice as fast as torch's usual way on a CPU.

torch multiplies `float32` matrices by MKL, which uses AVX-512 on Intel's processors alone. oneDNN,
which every CPU build of torch has too, uses what there is (docs/performance.md has the figures).
Where one side is a few numbers, a kernel multiplies.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from autoloss.asked import wanted
from autoloss.kernels import thin
from autoloss.kernels.runtime import chunks, fits
from autoloss.kernels.transpose import transposed

FEW = 16  # rows or columns: below this, a call of a library costs more than it saves


def _one_dnn() -> Any:
    """a b^T + bias by oneDNN, and that plus a matrix; or None where torch was built without it."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return None
    return getattr(torch.ops.mkldnn, "_linear_pointwise", None)


_ONE_DNN = _one_dnn()


def multiply(
    a: Tensor, b: Tensor, bias: Tensor | None = None, plus: Tensor | None = None
) -> Tensor:
    """a b^T + bias + plus for a `[k, n]`, b `[m, n]`, bias `[m]`, plus `[k, m]`; no gradient."""
    # oneDNN, as a kernel, reads a bias as if its numbers lay side by side.
    bias = None if bias is None else bias.contiguous()
    if fits(a, b) and min(*a.shape, len(b)) < FEW:
        found = _thin(a, b, bias)
        return found if plus is None else found + plus
    if not fits(a, b) or not _ONE_DNN:
        found = F.linear(a, b, bias)
        return found if plus is None else found + plus
    if not a.is_contiguous() and a.t().is_contiguous():
        if len(b) < len(a) and bias is None and plus is None:
            return transposed(multiply(b, a))  # so that the narrower one is turned around
        a = transposed(a.t())  # oneDNN would copy it itself, by torch
    one_dnn: Tensor = (
        _ONE_DNN.default(a, b, bias, "none", [], "")
        if plus is None
        else _ONE_DNN.binary(a, plus, b, bias, "add")
    )
    return one_dnn


def _thin(a: Tensor, b: Tensor, bias: Tensor | None) -> Tensor:
    """a b^T + bias with a side below FEW, by a kernel if there is one for it."""
    (k, n), m = a.shape, len(b)
    if k >= FEW and a.is_contiguous():
        found = a.new_empty(k, m)
        if m < FEW:
            thin.to_few(chunks(k), k, n, m, a, b.contiguous(), bias, found)
        else:
            thin.from_few(chunks(k), k, m, n, a, b.t().contiguous(), bias, found)
        return found
    if n >= FEW and bias is None and a.t().is_contiguous() and b.t().is_contiguous():
        if k >= FEW:
            return _thin(b, a, None).t()
        sums = a.new_empty(chunks(n), k, m)
        thin.of_rows(chunks(n), n, m, k, a.t(), b.t(), sums)
        return sums.sum(dim=0)
    return F.linear(a, b, bias)


class Linear(nn.Linear):
    """`nn.Linear`: the same parameters, values but for rounding, and derivatives."""

    def forward(self, x: Tensor) -> Tensor:
        """`[..., inputs] -> [..., outputs]`."""
        y: Tensor = _Linear.apply(x.flatten(0, -2), self.weight, self.bias)  # type: ignore[no-untyped-call]
        return y if x.dim() == 2 else y.view(*x.shape[:-1], -1)


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


Slopes = tuple[Tensor | None, Tensor | None, Tensor | None]


def linear_slopes(node: Any, gradient: Tensor, x: Tensor, weight: Tensor) -> Slopes:
    """Of x, weight and bias, the first inputs of `node`, from the gradient of x weight^T + bias.

    With their own derivatives where these are recorded.
    """
    wants = [wanted(node, k) for k in range(3)]
    function = _LinearSlopes.apply if torch.is_grad_enabled() else _linear_slopes
    found: Slopes = function(gradient, x, weight, wants)
    return found


def _linear_slopes(gradient: Tensor, x: Tensor, weight: Tensor, wants: list[bool]) -> Slopes:
    return (
        multiply(gradient, weight.t()) if wants[0] else None,
        multiply(gradient.t(), x.t()) if wants[1] else None,
        gradient.sum(dim=0) if wants[2] else None,
    )


class _LinearSlopes(torch.autograd.Function):
    """The gradients as functions, linear in each of what they are given."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Slopes:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*given[:3])
        return _linear_slopes(*given)

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, vx: Tensor | None, vw: Tensor | None, vb: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """From what the loss changes by with the three: the same for gradient, x and weight."""
        gradient, x, weight = ctx.saved_tensors
        of_gradient = of_x = of_weight = None
        if wanted(ctx, 0):
            if vx is not None:
                of_gradient, vb = multiply(vx, weight, vb), None
            if vw is not None:
                of_gradient, vb = multiply(x, vw, vb, of_gradient), None
            of_gradient = vb.expand_as(gradient) if vb is not None else of_gradient
        if wanted(ctx, 1) and vw is not None:
            of_x = multiply(gradient, vw.t())
        if wanted(ctx, 2) and vx is not None:
            of_weight = multiply(gradient.t(), vx.t())
        return of_gradient, of_x, of_weight, None
