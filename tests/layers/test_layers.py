"""Layers against torch's own modules, in double and in single precision."""

import copy

import pytest
import torch
from torch import nn

from autoloss.layers.batch_norm import BatchNorm
from autoloss.layers.hidden import Hidden
from autoloss.layers.linear import Linear
from autoloss.layers.tower import Tower
from tests.unit.problems import drawn

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
    y = drawn(layer, x, seed=3)
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


def test_batch_norm_refuses_to_average_over_all_batches():
    norm = BatchNorm(WIDTH)
    norm.momentum = None
    with pytest.raises(AssertionError):
        norm(torch.ones(9, WIDTH))
    assert norm.num_batches_tracked == 0


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


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("widths", [(), (33,), (40, 16), (32, 48, 17)])
def test_a_tower_in_single_precision_has_all_derivatives_of_its_modules(rate, widths):
    tower = Tower(20, widths, 1, rate)
    exact = copy.deepcopy(tower).double()  # one module after the other, by torch
    x = normal(70, 20).detach().float()
    both = [
        values_and_derivatives(layer, x.detach().to(to).requires_grad_())
        for layer, to in ((tower, torch.float32), (exact, torch.float64))
    ]
    for ours, theirs in zip(*both, strict=True):
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


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("inputs", "outputs"), [(20, 17), (20, 3), (2, 20), (3, 2)])
def test_a_linear_layer_has_torchs_values_and_derivatives(inputs, outputs, bias):
    ours, theirs = Linear(inputs, outputs, bias=bias), nn.Linear(inputs, outputs, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x = normal(5, 6, inputs).detach().float().requires_grad_()
    both = values_and_derivatives(ours, x), values_and_derivatives(theirs, x)
    for a, b in zip(*both, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-2)
