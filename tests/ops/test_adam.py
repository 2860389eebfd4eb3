"""Our Adam against torch.optim.Adam."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from autoloss.layers.embedding import FieldEmbedding
from autoloss.ops.adam import Adam, AdamOptions, stepped
from autoloss.training.deferred import DeferredAdam
from tests.interpreter import printed_by


@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.9)])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_moves_as_torchs_adam_does_also_after_a_restart(betas, weight_decay):
    torch.manual_seed(0)
    shapes, options = [(3, 4), (5,), ()], {"betas": betas, "weight_decay": weight_decay}
    ours = [nn.Parameter(torch.randn(shape, dtype=torch.float64)) for shape in shapes]
    torchs = [nn.Parameter(p.detach().clone()) for p in ours]
    adam = Adam(ours, 0.01, **options)
    reference = torch.optim.Adam(torchs, lr=0.01, **options)
    for t in range(20):
        if t == 10:
            saved, adam = adam.state_dict(), Adam(ours, 0.01, **options)
            adam.load_state_dict(saved)
        for p, q in zip(ours, torchs, strict=True):
            p.grad = torch.randn_like(p) * 10.0 ** (t % 4)
            q.grad = p.grad.clone()
        adam.step()
        reference.step()
    for p, q in zip(ours, torchs, strict=True):
        torch.testing.assert_close(p, q, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("decoupled", [False, True])
def test_a_step_as_a_function_of_its_gradient_is_torchs_and_has_its_slope(decoupled):
    """By differences of what torch's Adam makes of the parameter."""
    torch.manual_seed(0)
    start, lr = torch.randn(6, dtype=torch.float64), 0.01
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    past = torch.randn(3, 6, dtype=torch.float64)

    def torchs(gradient):
        parameter = nn.Parameter(start.clone())
        adam = kind([parameter], lr=lr, weight_decay=0.1)
        for g in (*past, gradient):
            parameter.grad = g.clone()
            before = parameter.detach().clone()
            moments = {k: v.clone() for k, v in adam.state.get(parameter, {}).items()}
            adam.step()
        return parameter.detach(), before, moments

    g = torch.tensor([1e-9, -0.3, 0.0, 2.0, 1e3, 1e-3], dtype=torch.float64).requires_grad_()
    expected, value, moments = torchs(g.detach())
    options = AdamOptions(lr, weight_decay=0.1, decoupled=decoupled)
    ahead = stepped(value, g, moments["exp_avg"], moments["exp_avg_sq"], 3, options)
    torch.testing.assert_close(ahead.detach(), expected, rtol=1e-12, atol=1e-14)
    (slope,) = torch.autograd.grad(ahead.sum(), g)
    h = 1e-6 * g.detach().abs().clamp_min(1)
    difference = (torchs(g.detach() + h)[0] - torchs(g.detach() - h)[0]) / (2 * h)
    torch.testing.assert_close(slope, difference, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_where_nothing_has_moved_so_far_its_slope_is_finite(dtype):
    """-lr g / (|g| + eps) at the first step, so -lr / eps at g = 0."""
    g = torch.zeros(2, dtype=dtype, requires_grad=True)
    zero = torch.zeros(2, dtype=dtype)
    ahead = stepped(zero, g, zero, zero, 0, AdamOptions(0.01))
    assert torch.equal(ahead, zero)
    (slope,) = torch.autograd.grad(ahead.sum(), g)
    torch.testing.assert_close(slope, torch.full_like(zero, -1e6))


def test_a_parameter_without_a_gradient_stays():
    used, idle = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    used.grad = torch.ones(2)
    Adam([used, idle], 0.1).step()
    assert torch.equal(idle, torch.ones(2))
    torch.testing.assert_close(used.detach(), torch.full((2,), 0.9))


@pytest.mark.parametrize("kind", [Adam, lambda _, lr: DeferredAdam([FieldEmbedding([2], 1)], lr)])
def test_a_learning_rate_that_would_have_no_effect_cannot_be_set(kind):
    adam = kind([nn.Parameter(torch.ones(2))], 0.1)
    with pytest.raises(AttributeError):
        adam.lr = 0.2
    assert adam.lr == 0.1


def test_a_run_imports_neither_the_compiler_nor_scikit_learn(tiny):
    """Each would be a second of every job."""
    code = f"""
import sys
from pathlib import Path
from autoloss.data.load.prepared import PreparedData
from autoloss.methods.load import load
from autoloss.training.loop import Trainer
from tests.tiny import tiny_config
data = PreparedData.open(Path({str(tiny["binary"].folder)!r}))
Trainer(tiny_config(), data, "deepfm", load("autoloss"), 0).run()
print([name for name in ("torch._dynamo", "torch._inductor", "sklearn") if name in sys.modules])
"""
    assert printed_by(code) == "[]"


def test_a_gradient_that_lies_transposed_is_read_as_it_is():
    """Such as that of a layer with few inputs, a controller's first, by `autoloss.ops.linear`."""
    gradient, ends = torch.randn(3, 20).t(), []
    for given in (gradient, gradient.contiguous()):
        adam = Adam([nn.Parameter(torch.zeros(20, 3))], 0.1)
        adam.parameters[0].grad = given
        adam.step()
        ends.append(adam.moments[0][0].clone())
    torch.testing.assert_close(ends[0], 0.1 * gradient)
    assert torch.equal(*ends)


@pytest.mark.parametrize("kind", [torch.float64, torch.int64])
@pytest.mark.parametrize("steps", [0, 1, 30])
def test_a_stacks_count_of_steps_moves_as_a_number_does(steps, kind):
    """In float32 the first steps' 1 - b2^t would have lost four digits."""
    g, mean, square = torch.randn(3, 50, generator=torch.Generator().manual_seed(0)).unbind()
    given = torch.zeros(50), g, mean, square.abs()
    found, right = (
        stepped(*given, count, AdamOptions(0.01))
        for count in (torch.tensor(steps, dtype=kind), steps)
    )
    torch.testing.assert_close(found, right, rtol=1e-6, atol=0)
