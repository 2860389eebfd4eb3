"""The hand-written derivatives: against torch's own batch norm, and gradcheck's differences."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from autoloss.models.batch_norm import BatchNorm
from autoloss.models.deepfm import _PairSum

WIDTH = 5


def normal(*shape, shift=0.0):
    generator = torch.Generator().manual_seed(len(shape))
    found = torch.randn(*shape, dtype=torch.float64, generator=generator) * 1.7 + shift
    return found.requires_grad_()


def layer(kind):
    made = kind(WIDTH).double()
    with torch.no_grad():
        made.weight.copy_(torch.linspace(-1, 2, WIDTH))
        made.bias.copy_(torch.linspace(3, 1, WIDTH))
    return made


def slopes_and_curvature(norm, x):
    """Outputs, gradients, and the gradients of a mixture of the gradients."""
    y = norm(x)
    inputs = (x, norm.weight, norm.bias)
    first = torch.autograd.grad((y**3).sum(), inputs, create_graph=True)
    mixture = sum((g * torch.linspace(-1, 1, g.numel()).view_as(g)).sum() for g in first)
    return y, *first, *torch.autograd.grad(mixture, inputs)


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_batch_norm_has_torchs_values_gradients_and_second_derivatives(shift):
    x = normal(9, WIDTH, shift=shift)
    ours, theirs = layer(BatchNorm), layer(nn.BatchNorm1d)
    for a, b in zip(slopes_and_curvature(ours, x), slopes_and_curvature(theirs, x), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    for name, buffer in theirs.named_buffers():
        torch.testing.assert_close(dict(ours.named_buffers())[name], buffer, rtol=0, atol=0)
    ours.eval(), theirs.eval()
    assert torch.equal(ours(x), theirs(x))


def test_batch_norm_by_finite_differences():
    norm = layer(BatchNorm)

    def value(x, weight, bias):
        return torch.func.functional_call(norm, {"weight": weight, "bias": bias}, (x,))

    inputs = (normal(6, WIDTH), norm.weight, norm.bias)
    assert gradcheck(value, inputs)
    assert gradgradcheck(value, inputs)


def test_the_pair_sum_by_finite_differences():
    embedded = normal(4, 3, 2)
    pairs = [(embedded[:, i] * embedded[:, j]).sum(1) for i in range(3) for j in range(i)]
    torch.testing.assert_close(_PairSum.apply(embedded).squeeze(1), sum(pairs))
    assert gradcheck(_PairSum.apply, (embedded,))
    assert gradgradcheck(_PairSum.apply, (embedded,))
