"""Matrix products by oneDNN: up to twice as fast as torch's usual way on a CPU.

torch multiplies `float32` matrices by MKL, which uses AVX-512 on Intel's processors alone. oneDNN,
which every CPU build of torch has too, uses what there is (docs/performance.md has the figures).
Where one side is a few numbers, a kernel multiplies.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from autoloss.ops.kernels import thin
from autoloss.ops.kernels.runtime import chunks, fits
from autoloss.ops.kernels.transpose import transposed
from autoloss.ops.operation import Gradients, Operation, Wants

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
    """a b^T + bias + plus for a `[k, n]`, b `[m, n]`, bias `[m]`, plus `[k, m]`; no gradient.

    Of a stack each has one more dimension in front.
    """
    if b.dim() > 2:
        if bias is not None:
            bias = bias.unsqueeze(-2)
            plus = bias if plus is None else bias + plus
        return a @ b.mT if plus is None else torch.baddbmm(plus, a, b.mT)
    # oneDNN, as a kernel, reads a bias as if its numbers lay side by side.
    bias = None if bias is None else bias.contiguous()
    if fits(a, b) and min(*a.shape, len(b)) < FEW:
        product = _thin(a, b, bias)
        return product if plus is None else product + plus
    if not fits(a, b) or not _ONE_DNN:
        product = F.linear(a, b, bias)
        return product if plus is None else product + plus
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
        product = a.new_empty(k, m)
        if m < FEW:
            thin.to_few(chunks(k), k, n, m, a, b.contiguous(), bias, product)
        else:
            thin.from_few(chunks(k), k, m, n, a, b.t().contiguous(), bias, product)
        return product
    if n >= FEW and bias is None and a.t().is_contiguous() and b.t().is_contiguous():
        if k >= FEW:
            return _thin(b, a, None).t()
        sums = a.new_empty(chunks(n), k, m)
        thin.of_rows(chunks(n), n, m, k, a.t(), b.t(), sums)
        return sums.sum(dim=0)
    return F.linear(a, b, bias)


def beside(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
    """`multiply`, a stack's results for an example side by side in memory: as batch norm reads."""
    if b.dim() == 2:
        return multiply(a, b, bias)
    runs, outputs, _ = b.shape
    product = a.new_empty(a.shape[1], runs, outputs).transpose(0, 1)
    if bias is None:
        return torch.bmm(a, b.mT, out=product)
    return torch.baddbmm(bias.unsqueeze(-2), a, b.mT, out=product)


def _forward(x: Tensor, weight: Tensor, bias: Tensor | None) -> Any:
    return beside(x, weight, bias), (x, weight), ()


def _backward(wants: Wants, gradient: Tensor, x: Tensor, weight: Tensor) -> Gradients:
    """Of x, weight and bias, each linear in what it is made of."""
    return (
        beside(gradient, weight.mT) if wants(0) else None,
        multiply(gradient.mT, x.mT) if wants(1) else None,
        gradient.sum(dim=-2) if wants(2) else None,
    )


def _second(wants: Wants, along: Gradients, results: Any, *given: Tensor) -> Gradients:
    """Of the gradient, x and weight; sums go into the products that they are added to."""
    (vx, vw, vb), (gradient, x, weight) = along, given
    of_gradient = of_x = of_weight = None
    if wants(0):
        if vx is not None:
            of_gradient, vb = multiply(vx, weight, vb), None
        if vw is not None:
            of_gradient, vb = multiply(x, vw, vb, of_gradient), None
        of_gradient = vb.unsqueeze(-2).expand_as(gradient) if vb is not None else of_gradient
    if wants(1) and vw is not None:
        of_x = multiply(gradient, vw.mT)
    if wants(2) and vx is not None:
        of_weight = multiply(gradient.mT, vx.mT)
    return of_gradient, of_x, of_weight


# x weight^T + bias: x `[B, n]`, weight `[m, n]`, bias `[m]` or None -> `[B, m]`.
linear = Operation(
    "Linear",
    F.linear,
    _forward,
    _backward,
    second=_second,
    fits=lambda x, weight, bias: weight.dim() > 2 or fits(x),
)
