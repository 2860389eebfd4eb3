"""Hand-written derivatives: against torch's own modules and gradcheck's differences."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck

from autoloss.models import products
from autoloss.models.batch_norm import BatchNorm
from autoloss.models.deepfm import _PairSum
from autoloss.models.hidden import Hidden
from autoloss.models.products import Linear, multiply, product

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


def values_and_derivatives(layer, x):
    """Outputs, gradients, and the gradients of a mixture of the gradients."""
    inputs = [x, *layer.parameters()]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        y = layer(x)
    first = torch.autograd.grad((y**3).sum(), inputs, create_graph=True)
    mixture = sum((g * torch.linspace(-1, 1, g.numel()).view_as(g)).sum() for g in first)
    return y, *first, *torch.autograd.grad(mixture, inputs)


@pytest.mark.parametrize("shift", [0.0, 100.0])
def test_batch_norm_has_torchs_values_gradients_and_second_derivatives(shift):
    x = normal(9, WIDTH, shift=shift)
    ours, theirs = layer(BatchNorm), layer(nn.BatchNorm1d)
    both = values_and_derivatives(ours, x), values_and_derivatives(theirs, x)
    for a, b in zip(*both, strict=True):
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


def apart(hidden):
    """A hidden layer's four modules, the first two torch's own."""
    linear, norm = hidden.linear, hidden.norm
    track = norm.running_mean is not None
    made = nn.Sequential(
        nn.Linear(linear.in_features, linear.out_features),
        nn.BatchNorm1d(linear.out_features, track_running_stats=track),
        hidden.relu,
        hidden.dropout,
    ).double()
    made[0].load_state_dict(linear.state_dict())
    made[1].load_state_dict(norm.state_dict())
    return made


@pytest.mark.parametrize("track", [True, False])
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_a_hidden_layer_is_its_four_modules_one_by_one(track, rate):
    hidden = Hidden(4, WIDTH, rate, track=track).double()
    modules, x = apart(hidden), normal(9, 4)
    both = values_and_derivatives(hidden, x), values_and_derivatives(modules, x)
    for ours, theirs in zip(*both, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
    for ours, theirs in zip(hidden.buffers(), modules.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs)
    hidden.eval(), modules.eval()
    torch.testing.assert_close(hidden(x), modules(x))


def test_another_activation_in_a_hidden_layer_is_run():
    hidden, x = Hidden(4, WIDTH, 0.0).double(), normal(9, 4)
    hidden.relu = nn.Tanh()
    y = hidden(x)
    assert y.min() < 0
    torch.testing.assert_close(y, apart(hidden)(x))


def test_a_hidden_layer_by_finite_differences():
    hidden = Hidden(3, WIDTH, 0.0).double()
    names = [name for name, _ in hidden.named_parameters()]

    def value(x, *parameters):
        return torch.func.functional_call(hidden, dict(zip(names, parameters, strict=True)), (x,))

    inputs = (normal(6, 3), *hidden.parameters())
    assert gradcheck(value, inputs)
    assert gradgradcheck(value, inputs)


@pytest.mark.parametrize("shape", [(64, 48, 32), (64, 48, 4), (3, 48, 32), (64, 2, 32)])
def test_products_are_torchs_but_for_rounding(shape):
    rows, inputs, outputs = shape
    shapes = (rows, inputs), (outputs, inputs), (outputs,)
    a, b, bias = (normal(*shape, shift=k).detach().float() for k, shape in enumerate(shapes))
    for left, right in ((a, b), (a.t().contiguous().t(), b.t().contiguous().t())):
        exact = left.double() @ right.double().t()
        torch.testing.assert_close(multiply(left, right).double(), exact, rtol=1e-5, atol=1e-4)
        torch.testing.assert_close(
            multiply(left, right, bias).double(), exact + bias, rtol=1e-5, atol=1e-4
        )


@pytest.mark.parametrize("bias", [True, False])
def test_a_wide_linear_layer_has_torchs_values_and_derivatives(bias):
    ours, theirs = Linear(20, 17, bias=bias), nn.Linear(20, 17, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x = normal(5, 6, 20).detach().float().requires_grad_()
    both = values_and_derivatives(ours, x), values_and_derivatives(theirs, x)
    for a, b in zip(*both, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-2)


def test_products_by_finite_differences():
    inputs = normal(4, 3), normal(2, 3, shift=1.0)
    assert gradcheck(product, inputs)
    assert gradgradcheck(product, inputs)


def test_a_gradient_that_nobody_asks_for_is_not_computed(monkeypatch):
    calls = []
    monkeypatch.setattr(products, "multiply", lambda *given: calls.append(1) or multiply(*given))
    a, b, c = normal(4, 3), normal(2, 3, shift=1.0), normal(5, 2)
    middle = product(a * 1.0, b * 1.0)  # not leaves: of those, torch cannot say
    end = product(c * 1.0, middle * 1.0).square().sum()
    calls.clear()
    torch.autograd.grad(end, a, retain_graph=True)
    assert len(calls) == 2  # one for each product on the way
    calls.clear()
    torch.autograd.grad(end, [a, b, c])
    assert len(calls) == 4
