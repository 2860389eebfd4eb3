"""Hand-written derivatives: against torch's own modules and gradcheck's differences."""

import copy
import functools

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import functional_call

from autoloss.asked import asking_for
from autoloss.models import products
from autoloss.models.autoint import _Attend, attend
from autoloss.models.batch_norm import BatchNorm
from autoloss.models.deepfm import _Factors, _PairSum
from autoloss.models.hidden import Hidden
from autoloss.models.ipnn import _Products, with_products
from autoloss.models.products import Linear, multiply
from autoloss.models.tower import Tower

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


def factors_of(values, linear, places):
    """`_Factors` by torch's operations and an explicit sum over pairs."""
    embedded, fields = values[places], range(places.shape[1])
    pairs = [(embedded[:, i] * embedded[:, j]).sum(1) for i in fields for j in range(i)]
    return embedded, sum(pairs).unsqueeze(1), linear[places].sum(1)


def factor_inputs(dtype):
    places = torch.tensor([[0, 3, 5], [2, 3, 6], [0, 4, 5], [0, 3, 6]])
    values, linear = normal(7, 20).detach().to(dtype), normal(7, 2, shift=1.0).detach().to(dtype)
    return values.requires_grad_(), linear.requires_grad_(), places


def test_the_pair_sum_by_finite_differences():
    embedded = normal(4, 3, 2)
    pairs = [(embedded[:, i] * embedded[:, j]).sum(1) for i in range(3) for j in range(i)]
    torch.testing.assert_close(_PairSum.apply(embedded).squeeze(1), sum(pairs))
    assert gradcheck(_PairSum.apply, (embedded,))
    assert gradgradcheck(_PairSum.apply, (embedded,))


@pytest.mark.parametrize("create_graph", [False, True])
def test_factors_in_single_precision_are_those_in_double(create_graph):
    found = []
    for dtype, function in ((torch.float32, _Factors.apply), (torch.float64, factors_of)):
        values, linear, places = factor_inputs(dtype)
        outputs = function(values, linear, places)
        loss = sum((output**2).sum() for output in outputs)
        slopes = torch.autograd.grad(loss, [values, linear], create_graph=create_graph)
        found.append([x.double() for x in (*outputs, *slopes)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-3)


def test_factors_have_second_derivatives():
    values, linear, places = factor_inputs(torch.float32)

    def mixture(function, *inputs):
        loss = sum((output**3).sum() for output in function(*inputs, places))
        first = torch.autograd.grad(loss, inputs, create_graph=True)
        mixed = [(g * torch.linspace(-1, 1, g.numel()).view_as(g)).sum() for g in first]
        return torch.autograd.grad(sum(mixed), inputs)

    exact = [x.detach().double().requires_grad_() for x in (values, linear)]
    found = zip(mixture(_Factors.apply, values, linear), mixture(factors_of, *exact), strict=True)
    for ours, theirs in found:
        scale = float(theirs.abs().max())
        torch.testing.assert_close(ours.double() / scale, theirs / scale, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("fields", "heads", "width"), [(8, 2, 16), (3, 1, 5), (5, 4, 12)])
@pytest.mark.parametrize("batch", [1, 70])  # a part of a block of lanes, and more than one
def test_attention_in_one_pass_is_torchs(fields, heads, width, batch):
    given = normal(batch, fields, 4 * width).detach().float().requires_grad_()
    exact = given.detach().double().requires_grad_()
    found = []
    for function, projected in ((_Attend.apply, given), (attend, exact)):
        out = function(projected, heads)
        (plain,) = torch.autograd.grad((out**2).sum(), projected, retain_graph=True)
        (first,) = torch.autograd.grad((out**2).sum(), projected, create_graph=True)
        (second,) = torch.autograd.grad((first**2).sum(), projected)
        found.append([x.double() for x in (out, plain, first, second)])
    for ours, theirs in zip(*found, strict=True):
        scale = float(theirs.detach().abs().max())
        torch.testing.assert_close(ours / scale, theirs / scale, rtol=1e-3, atol=1e-4)


def test_products_of_rows_in_one_pass_are_torchs():
    values, _, places = factor_inputs(torch.float32)
    pairs = torch.tensor([1, 2, 5])  # of 3 x 3
    exact, found = values.detach().double().requires_grad_(), []
    for one in (values, exact):
        fused = one is values
        out = _Products.apply(one, places, pairs) if fused else with_products(one[places], pairs)
        (plain,) = torch.autograd.grad((out**2).sum(), one, retain_graph=True)
        (first,) = torch.autograd.grad((out**2).sum(), one, create_graph=True)
        (second,) = torch.autograd.grad((first**2).sum(), one)
        found.append([x.double() for x in (out, plain, first, second)])
    for ours, theirs in zip(*found, strict=True):
        scale = float(theirs.detach().abs().max())
        torch.testing.assert_close(ours / scale, theirs / scale, rtol=1e-3, atol=1e-5)
    with pytest.raises(IndexError, match="not below 7"):
        _Products.apply(values, places - 1, pairs)


def test_a_row_that_is_not_there_is_an_error():
    values, linear, places = factor_inputs(torch.float32)
    with pytest.raises(IndexError, match="not below 7"):
        _Factors.apply(values, linear, places + 1)


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


@pytest.mark.parametrize("track", [True, False])
@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("width", [24, 33, 64])  # rows of draws start inside a word, and do not
def test_in_single_precision_a_hidden_layer_is_the_same_in_one_pass(track, rate, width):
    hidden, x = Hidden(20, width, rate, track=track), normal(70, 20).detach().float()
    exact = copy.deepcopy(hidden).double()
    found = [
        values_and_derivatives(layer, given.requires_grad_())
        for layer, given in ((hidden, x), (exact, x.double()))
    ]
    for ours, theirs in zip(*found, strict=True):
        # Some are sums of terms of up to 100 that cancel, the gradient of the linear bias to 0.
        close = {"rtol": 1e-3, "atol": 1e-3 * max(10.0, float(theirs.detach().abs().max()))}
        torch.testing.assert_close(ours.double(), theirs, **close)
    for ours, theirs in zip(hidden.buffers(), exact.buffers(), strict=True):
        torch.testing.assert_close(ours.to(theirs), theirs, rtol=1e-5, atol=1e-6)


def seeded_derivatives(tower, x, seeds):
    """The gradient under losses of slope `seeds` `[B, 1]`, and of a mixture of it that of these."""
    inputs = [x, *tower.parameters()]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        y = tower(x)
    once = torch.autograd.grad(y, inputs, seeds.detach(), retain_graph=True)
    first = torch.autograd.grad(y, inputs, seeds, create_graph=True)
    mixture = sum((g * torch.linspace(-1, 1, g.numel()).view_as(g)).sum() for g in first)
    with asking_for([seeds]):
        return *once, *torch.autograd.grad(mixture, [seeds])


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("widths", [(), (33,), (40, 16), (32, 48, 17)])
def test_a_tower_in_single_precision_has_all_derivatives_of_its_modules(rate, widths):
    tower = Tower(20, widths, 1, rate)
    exact = copy.deepcopy(tower).double()  # one module after the other, by torch
    x, seeds = normal(70, 20).detach().float(), normal(70, 1).detach().float()
    seeds[::7] = 0.0  # where the gradient does not say what the output's slope was
    found = []
    for layer, to in ((tower, torch.float32), (exact, torch.float64)):
        given = [one.detach().to(to).requires_grad_() for one in (x, seeds)]
        found.append((*values_and_derivatives(layer, given[0]), *seeded_derivatives(layer, *given)))
    for ours, theirs in zip(*found, strict=True):
        close = {"rtol": 1e-3, "atol": 1e-5 * max(1.0, float(theirs.detach().abs().max()))}
        torch.testing.assert_close(ours.double(), theirs, **close)
    tower.eval(), exact.eval()
    torch.testing.assert_close(tower(x).double(), exact(x.double()), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("outputs", [1, 5])
def test_another_activation_in_a_tower_is_run(outputs):
    tower, x = Tower(4, (6,), outputs, 0.0), normal(9, 4).detach().float()
    tower[1] = nn.Tanh()
    torch.testing.assert_close(tower(x), tower[3](tower[0](x).tanh()))


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


@pytest.mark.parametrize("rows", [3, 64, 70, 200])
@pytest.mark.parametrize("inputs", [2, 48, 200])
@pytest.mark.parametrize("outputs", [1, 5, 32, 37])
def test_products_are_torchs_but_for_rounding(rows, inputs, outputs):
    shapes = (rows, inputs), (outputs, inputs), (outputs,), (rows, outputs)
    a, b, bias, plus = (normal(*one, shift=k).detach().float() for k, one in enumerate(shapes))
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


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inputs", "outputs"), [(20, 17), (20, 3), (2, 20), (3, 2)])
def test_a_linear_layer_has_torchs_values_and_derivatives(inputs, outputs, bias):
    ours, theirs = Linear(inputs, outputs, bias=bias), nn.Linear(inputs, outputs, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x = normal(5, 6, inputs).detach().float().requires_grad_()
    both = values_and_derivatives(ours, x), values_and_derivatives(theirs, x)
    for a, b in zip(*both, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-2)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layers_second_derivatives_by_finite_differences(bias):
    layer = Linear(17, 18, bias=bias).double()

    def value(x, weight, *rest):
        given = dict(zip(("weight", "bias"), (weight, *rest), strict=False))
        return functional_call(layer, given, (x,))

    inputs = (normal(2, 17), *layer.parameters())
    assert gradcheck(value, inputs)
    assert gradgradcheck(value, inputs)


def test_a_gradient_that_nobody_asks_for_is_not_computed(monkeypatch):
    calls = []
    monkeypatch.setattr(products, "multiply", lambda *given: calls.append(1) or multiply(*given))
    layer, x = Linear(17, 18, bias=False).double(), normal(4, 17)

    def asked_for(*wanted, **how):
        """How many products the gradient of something quadratic in the layer takes."""
        end = layer(x * 1.0).square().sum()
        calls.clear()
        found = torch.autograd.grad(end, wanted, **how)
        return len(calls), found

    assert asked_for(x)[0] == 2  # of a leaf the engine does not say, so the weight's too
    with asking_for([x]):
        assert asked_for(x)[0] == 1
    assert asked_for(x, layer.weight)[0] == 2
    with asking_for([layer.weight]):
        _, (slope,) = asked_for(layer.weight, create_graph=True)
        calls.clear()
        torch.autograd.grad(slope.sum(), layer.weight)
    assert len(calls) == 2  # along the gradient, then back from the output
