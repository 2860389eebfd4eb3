"""Every operation against its reference: values, gradients and second derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradgradcheck

from autoloss.candidates import CandidateLosses
from autoloss.config import LossOptions
from autoloss.ops.attention import attend
from autoloss.ops.batch_norm import batch_norm
from autoloss.ops.candidates import candidate_losses
from autoloss.ops.factorisation import factorise, pair_sum
from autoloss.ops.hidden import hidden
from autoloss.ops.inner_products import inner_products
from autoloss.ops.kernels import losses as kinds
from autoloss.ops.linear import linear
from autoloss.ops.operation import Operation, asking_for
from autoloss.ops.tower import tower
from autoloss.ops.weights import gumbel_softmax
from autoloss.task import Task

SIZES = [0, 1, 7, 70]  # of a batch: none, one, odd, and more than a task's rows


@dataclass
class Case:
    """An operation and what makes its inputs for a batch of `n`: tensors, then constants."""

    operation: Operation
    tensors: Callable[[int], list[Tensor]]
    constants: Callable[[int], list[Any]] = lambda n: []
    least: int = 0  # the smallest batch that the operation has a value for


def normal(*shape: int, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape) + len(shape))
    return torch.randn(shape, generator=generator, dtype=torch.float64) + shift


def places(n: int) -> Tensor:
    """Of three fields, with the rows 0-2, 3-4 and 5-6."""
    generator = torch.Generator().manual_seed(n)
    each = [torch.randint(low, high, (n,), generator=generator) for low, high in FIELDS]
    return torch.stack(each, dim=1)


FIELDS = (0, 3), (3, 5), (5, 7)


def losses_of(classes: int, on: str) -> Callable[[int], list[Any]]:
    options = LossOptions(hinge_on=on)
    losses = CandidateLosses(Task(classes), options)
    hinge = kinds.HINGE_ON_LOGITS if on == "logit" else kinds.HINGE
    number = {"focal": kinds.FOCAL, "kl": kinds.KL, "hinge": hinge, "ce": kinds.CE}
    off = 0.1 / classes
    entropy = (0.9 + off) * math.log(0.9 + off) + (classes - 1) * off * math.log(off)

    def constants(n: int) -> list[Any]:
        labels = torch.arange(n) % classes
        known = torch.tensor([number[name] for name in losses.names], dtype=torch.int32)
        return [labels, known, options.focal_gamma, options.kl_smoothing, entropy, losses.by_torch]

    return constants


def parameters(*widths: int) -> list[Tensor]:
    """Weight and bias of each layer."""
    pairs = pairwise(widths)
    return [x for n, m in pairs for x in (normal(m, n) / n**0.5, normal(m))]


KEPT = (0.0, 0)  # a dropout of 0, and its seed
CASES = {
    "linear": Case(linear, lambda n: [normal(n, 5), normal(3, 5), normal(3)]),
    "wide linear": Case(linear, lambda n: [normal(n, 33), normal(40, 33), normal(40)]),
    "linear to few": Case(linear, lambda n: [normal(n, 40), normal(1, 40), normal(1)]),
    "linear from few": Case(linear, lambda n: [normal(n, 2), normal(40, 2), normal(40)]),
    "linear without bias": Case(
        linear, lambda n: [normal(n, 20), normal(17, 20)], lambda n: [None]
    ),
    "batch norm": Case(
        batch_norm,
        lambda n: [normal(n, 5), normal(5, shift=2.0), normal(5)],
        lambda n: [None, None, 0.1, 1e-5],
        least=7,
    ),
    "hidden": Case(
        hidden,
        lambda n: [normal(n, 5), *parameters(5, 33), normal(33, shift=2.0), normal(33)],
        lambda n: [None, None, 0.1, 1e-5, *KEPT],
        least=7,
    ),
    "tower": Case(tower, lambda n: [normal(n, 5), *parameters(5, 33, 1)], lambda n: [[KEPT]]),
    "deep tower": Case(
        tower, lambda n: [normal(n, 20), *parameters(20, 40, 17, 1)], lambda n: [[KEPT, KEPT]]
    ),
    "tower of 5": Case(tower, lambda n: [normal(n, 5), *parameters(5, 8, 5)], lambda n: [[KEPT]]),
    "factorise": Case(factorise, lambda n: [normal(7, 20), normal(7, 2)], lambda n: [places(n)]),
    "pair sum": Case(pair_sum, lambda n: [normal(n, 3, 4)]),
    "inner products": Case(inner_products, lambda n: [normal(7, 20)], lambda n: [places(n)]),
    "attend": Case(attend, lambda n: [normal(n, 5, 48) / 2], lambda n: [4], least=1),
    "one head": Case(attend, lambda n: [normal(n, 3, 20) / 2], lambda n: [1], least=1),
    **{
        f"losses of {classes} on {on}": Case(
            candidate_losses,
            lambda n, shape=(() if classes == 2 else (classes,)): [3 * normal(n, *shape)],
            losses_of(classes, on),
        )
        for classes in (2, 5)
        for on in ("probability", "logit")
    },
}
every_case = pytest.mark.parametrize("name", CASES)


def derivatives(apply: Callable[..., Any], tensors: list[Tensor], constants: list[Any]) -> Any:
    """Values, gradients twice (alone, and to be differentiated), and gradients of their mixture."""
    outputs = apply(*tensors, *constants)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    loss = sum(((y - 0.3) ** 3).sum() for y in outputs)
    plain = torch.autograd.grad(loss, tensors, retain_graph=True)
    first = torch.autograd.grad(loss, tensors, create_graph=True)
    mixture = sum((g * torch.linspace(-1, 1, g.numel()).to(g).view_as(g)).sum() for g in first)
    return *outputs, *plain, *first, *torch.autograd.grad(mixture, tensors)


def laid_out(tensor: Tensor, strided: bool) -> Tensor:
    """The same numbers in memory side by side, or with gaps between them."""
    if not strided:
        return tensor.contiguous().requires_grad_()
    wide = torch.zeros((*tensor.shape, 2), dtype=tensor.dtype)
    wide[..., 0] = tensor
    return wide[..., 0].requires_grad_()


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every_case
def test_an_operation_has_the_values_and_derivatives_of_its_reference(name, dtype, strided, n):
    case = CASES[name]
    if n < case.least:
        pytest.skip(f"there is no value for a batch below {case.least}")
    tensors, constants = case.tensors(n), case.constants(n)
    given = [laid_out(x.to(dtype), strided) for x in tensors]
    exact = [laid_out(x, False) for x in tensors]
    definition = case.operation.reference
    results = derivatives(case.operation, given, constants)
    expected = derivatives(definition, exact, constants)
    loose = dtype is torch.float32
    for result, right in zip(results, expected, strict=True):
        scale = max(1.0, float(right.detach().abs().max())) if right.numel() else 1.0
        close = {"rtol": 1e-3, "atol": 3e-5 * scale} if loose else {"rtol": 1e-9, "atol": 1e-9}
        assert result.dtype == dtype
        torch.testing.assert_close(result.double(), right, **close)


@every_case
def test_a_reference_has_second_derivatives_by_finite_differences(name):
    case = CASES[name]
    n = max(3, case.least)
    tensors = [x.requires_grad_() for x in case.tensors(n)]
    constants = case.constants(n)
    definition = case.operation.reference
    if sum(x.numel() for x in tensors) >= 600:
        pytest.skip("another case of the operation has fewer numbers")
    assert gradgradcheck(lambda *given: definition(*given, *constants), tensors)


TABLES = ("factorise", "inner products")  # whose tensors lie one under the other in a stack


def twice_differentiated(apply: Callable[..., Any], tensors: list[Tensor], constants: Any) -> Any:
    """Values, gradients, and gradients of the gradients' squares."""
    tensors = [x.detach().requires_grad_() for x in tensors]
    outputs = apply(*tensors, *constants)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    loss = sum((y**3).sum() for y in outputs)
    first = torch.autograd.grad(loss, tensors, create_graph=True)
    squares = sum((g**2).sum() for g in first)
    return *outputs, *first, *torch.autograd.grad(squares, tensors)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@every_case
def test_of_a_stack_it_has_each_runs_values_and_derivatives(name, dtype):
    case, runs, n = CASES[name], 3, 7
    own = [[(x * (1 - 0.2 * s)).to(dtype) for x in case.tensors(n)] for s in range(runs)]
    each = [twice_differentiated(case.operation, x, case.constants(n)) for x in own]
    side_by_side = torch.cat if name in TABLES else torch.stack
    constants = case.constants(n)
    if name in TABLES:
        constants = [torch.stack([7 * s + constants[0] for s in range(runs)])]
    elif case.operation is candidate_losses:
        constants[0] = constants[0].expand(runs, -1)
    tensors = [side_by_side(x) for x in zip(*own, strict=True)]
    together = twice_differentiated(case.operation, tensors, constants)
    outputs = len(together) - 2 * len(tensors)
    for k, (stack, *parts) in enumerate(zip(together, *each, strict=True)):
        right = (side_by_side if k >= outputs else torch.stack)(parts)
        exact = dtype is torch.float64
        scale = max(1.0, float(right.detach().abs().max()))
        close = {"rtol": 1e-12, "atol": 1e-12} if exact else {"rtol": 1e-3, "atol": 3e-5 * scale}
        torch.testing.assert_close(stack, right, **close)


@pytest.mark.parametrize("fits", [True, False])
def test_each_operation_says_itself_what_it_fits(fits):
    kind = torch.float32 if fits else torch.float64
    everywhere = "pair sum", "batch norm"
    for name, case in CASES.items():
        tensors, constants = [x.to(kind) for x in case.tensors(7)], case.constants(7)
        if name != "tower of 5":
            expected = fits or name in everywhere
            assert case.operation.fits(*tensors, *constants) == expected, name
        on_meta = [x.to("meta") for x in tensors]
        assert case.operation.fits(*on_meta, *constants) == (name in everywhere), name


@pytest.mark.parametrize("operation", [inner_products, factorise])
def test_a_row_that_is_not_there_is_an_error(operation):
    tables = [normal(7, 20).float(), normal(7, 2).float()][
        : 1 if operation is inner_products else 2
    ]
    for wrong in (-1, 1):
        with pytest.raises(IndexError, match="not below 7"):
            operation(*tables, places(70) + wrong)


def test_a_gradient_that_nobody_used_is_nothing():
    values, linear = (normal(7, k).float().requires_grad_() for k in (20, 2))
    for k in range(3):
        slopes = []
        for apply in (factorise, factorise.reference):
            loss = apply(values, linear, places(5))[k].square().sum()
            slopes.append(torch.autograd.grad(loss, [values, linear], allow_unused=True))
        for x, slope, right in zip((values, linear), *slopes, strict=True):
            nothing = torch.zeros_like(x)
            expected = nothing if right is None else right
            slope = nothing if slope is None else slope
            torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-4)
    embedded, *_ = factorise(values, linear, places(5))
    (slope,) = torch.autograd.grad(embedded.square().sum(), values, create_graph=True)
    (second,) = torch.autograd.grad(slope.sum(), values)
    counts = places(5).flatten().bincount(minlength=7)
    torch.testing.assert_close(second, (2.0 * counts).unsqueeze(1).expand(7, 20))


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("widths", [(20, 33, 1), (20, 32, 48, 17, 1)])
def test_along_the_loss_alone_a_tower_is_differentiated_by_its_unit_slopes(widths, rate):
    """What a hypergradient asks: how its gradient changes with the slope of the loss."""
    drops = [(rate, seed) for seed in range(len(widths) - 2)]
    tensors = [normal(70, 20), *parameters(*widths)]
    seeds = normal(70, 1)
    seeds[::7] = 0.0  # where the gradient does not say what the output's slope was
    results = []
    for kind, apply in ((torch.float32, tower), (torch.float64, tower.reference)):
        given = [x.to(kind).requires_grad_() for x in tensors]
        slope = seeds.to(kind).requires_grad_()
        output = apply(*given, drops)
        first = torch.autograd.grad(output, given, slope, create_graph=True)
        mixture = sum((g * torch.linspace(-1, 1, g.numel()).to(g).view_as(g)).sum() for g in first)
        with asking_for([slope]):
            results.append(torch.autograd.grad(mixture, slope)[0].double())
    scale = float(results[1].abs().max())
    torch.testing.assert_close(results[0], results[1], rtol=1e-3, atol=1e-5 * scale)


def test_gumbel_softmax_has_a_softmaxs_derivatives_whatever_the_noise():
    scores = normal(70, 4).float().requires_grad_()
    weights = gumbel_softmax(scores, 0.7, 3)
    exact = (weights.detach().double().log() * 0.7).requires_grad_()  # the noisy scores, shifted
    results = []
    for x, y in ((scores, weights), (exact, (exact / 0.7).softmax(dim=-1))):
        (first,) = torch.autograd.grad((y**3).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad((first**2).sum(), x)
        results.append((y.double(), first.double(), second.double()))
    for result, right in zip(*results, strict=True):
        torch.testing.assert_close(result, right, rtol=1e-3, atol=1e-5)
