"""Matrix products, and which of them are computed."""

import functools

import pytest
import torch

from autoloss.layers.linear import Linear
from autoloss.ops import linear
from autoloss.ops.linear import multiply
from autoloss.ops.operation import asking_for


@pytest.mark.parametrize("rows", [3, 64, 70, 200])
@pytest.mark.parametrize("inputs", [2, 48, 200])
@pytest.mark.parametrize("outputs", [1, 5, 32, 37])
def test_products_are_torchs_but_for_rounding(rows, inputs, outputs):
    shapes = (rows, inputs), (outputs, inputs), (outputs,), (rows, outputs)
    a, b, bias, plus = (torch.randn(shape) * 1.7 + k for k, shape in enumerate(shapes))
    close = functools.partial(torch.testing.assert_close, rtol=1e-5, atol=1e-4)
    for left, right in ((a, b), (a.t().contiguous().t(), b.t().contiguous().t())):
        exact = left.double() @ right.double().t()
        close(multiply(left, right).double(), exact)
        close(multiply(left, right, bias).double(), exact + bias)
        one = torch.ones(1).expand(outputs)
        close(multiply(left, right, one).double(), exact + 1)
        close(multiply(left, right, bias, plus).double(), exact + bias + plus)


@pytest.mark.parametrize("outputs", [3, 40])
def test_a_number_that_is_none_goes_through_a_product(outputs):
    a, b = torch.ones(64, 40), torch.ones(outputs, 40)
    a[5, 7] = torch.nan
    assert multiply(a, b).isnan().nonzero()[:, 0].unique().tolist() == [5]
    turned = multiply(b.t().contiguous().t(), a.t().contiguous().t())
    assert turned.isnan().nonzero()[:, 1].unique().tolist() == [5]


def test_a_gradient_that_nobody_asks_for_is_not_computed(monkeypatch):
    calls = []
    monkeypatch.setattr(linear, "multiply", lambda *given: calls.append(1) or multiply(*given))
    layer, x = Linear(17, 18, bias=False), torch.randn(4, 17, requires_grad=True)

    def asked_for(*wanted, **how):
        """How many products the gradient of something quadratic in the layer takes."""
        end = layer(x * 1.0).square().sum()
        calls.clear()
        slopes = torch.autograd.grad(end, wanted, **how)
        return len(calls), slopes

    assert asked_for(x)[0] == 2  # of a leaf the engine does not say, so the weight's too
    with asking_for([x]):
        assert asked_for(x)[0] == 1
    assert asked_for(x, layer.weight)[0] == 2
    with asking_for([layer.weight]):
        _, (slope,) = asked_for(layer.weight, create_graph=True)
        calls.clear()
        torch.autograd.grad(slope.sum(), layer.weight)
    assert len(calls) == 2  # along the gradient, then back from the output
