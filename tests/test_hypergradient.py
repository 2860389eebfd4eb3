"""The outer gradient: each estimator against independent references, and the outer step.

Errors are relative to the second-order term alone: at a small xi the direct term is so much larger
that a wrong second order would hide in it.
"""

import copy
import math
from dataclasses import replace
from statistics import median

import pytest
import torch
from torch import nn

from autoloss.config import LossOptions, overlay
from autoloss.data.load.batches import Batch
from autoloss.errors import ConfigError
from autoloss.hypergradient import ESTIMATORS
from autoloss.layers.dropout import drawing, dropouts
from autoloss.methods.contract import Step
from autoloss.methods.load import load
from autoloss.models import MODELS
from autoloss.seeds import Draw
from autoloss.task import Task
from autoloss.training.loop import Trainer
from baselines._template import Template
from tests.tiny import tiny_config
from tests.unit.problems import (
    LR,
    flat,
    make_adam,
    make_method,
    make_model,
    make_step,
    smooth,
    untouched,
)
from tests.unit.reference import ByAdam, Reference, central_difference

models = pytest.mark.parametrize("name", ["deepfm", "ipnn"])
every_model = pytest.mark.parametrize("name", MODELS)
tasks = pytest.mark.parametrize("classes", [2, 5])
every_reading = pytest.mark.parametrize(
    ("detach", "criterion"), [(True, "mixture"), (True, "ce"), (False, "mixture"), (False, "ce")]
)


@pytest.fixture(autouse=True)
def isolated():
    """Models are made here by torch's generator: give it back."""
    with torch.random.fork_rng():
        yield


def problem(name, classes, method="autoloss", n=24, seed=3, **options):
    task = Task(classes)
    step = make_step(make_model(name, task), task, n=n)
    return make_method(method, task, seed=seed, hidden=(8, 6), **options), step


def estimate(name, method, step, xi=LR):
    return flat(ESTIMATORS[name](method.outer_problem(step), xi))


def errors(gradient, reference, xi=LR):
    """Relative to the second-order term: against double backward and against the identity."""
    exact = reference.double_backward(xi)
    second_order = (exact - reference.direct_term(xi)).norm()
    assert second_order > 1e-3
    return tuple((gradient - g).norm() / second_order for g in (exact, reference.identity(xi)))


@every_reading
@pytest.mark.parametrize("method", ["autoloss", "al2"])
@tasks
@every_model
def test_exact_equals_dense_double_backward_and_the_identity(
    name, classes, method, detach, criterion
):
    """Batch norm, dropout and Gumbel noise are all on."""
    method, step = problem(name, classes, method, detach=detach, criterion=criterion)
    by_double_backward, by_identity = errors(
        estimate("exact", method, step), Reference(method, step)
    )
    assert by_double_backward < 1e-11
    assert by_identity < 1e-11


@tasks
def test_exact_holds_for_a_module_that_knows_nothing_of_us(classes):
    method, step = problem("plain", classes)
    assert max(errors(estimate("exact", method, step), Reference(method, step))) < 1e-11


@models
def test_exact_of_global_weights_is_how_well_each_candidates_gradient_lowers_validation(name):
    """dL_val(W')/dp_i = -xi <dL_val/dW', dl_i/dW>, then through the softmax: no second order."""
    task = Task(5)
    step = make_step(make_model(name, task), task)
    method = Template(task).double().requires_grad_()
    reference = Reference(method, step)
    ahead = {k: w.requires_grad_() for k, w in reference.ahead(LR).items()}
    slope = flat(torch.autograd.grad(reference.val(ahead), list(ahead.values())))
    gains = []
    for i in range(4):
        params = reference.params
        logits = reference.logits(params, step.batch.ids)
        candidate = method.candidates(step.batch.labels, logits)[:, i].mean()
        gains.append(-LR * slope @ flat(torch.autograd.grad(candidate, list(params.values()))))
    expected = torch.stack(gains) / 4 - torch.stack(gains).mean() / 4  # p = 1/4 each
    assert expected.norm() > 1e-4
    torch.testing.assert_close(estimate("exact", method, step), expected, rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("xi", [1e-3, 1.0])
def test_exact_holds_at_other_steps_and_xi(xi):
    task = Task(5)
    step = make_step(make_model("deepfm", task), task, t=9)  # tau is .17
    method = make_method("autoloss", task, hidden=(8, 6))
    reference, gradient = Reference(method, step), estimate("exact", method, step, xi)
    exact, direct = reference.double_backward(xi), reference.direct_term(xi)
    assert (gradient - exact).norm() < 1e-10 * (exact - direct).norm()


@every_reading
@tasks
@models
def test_exact_agrees_with_differences_of_the_loss_after_the_step(name, classes, detach, criterion):
    """d/dV of L_val(W - xi dL_train(W, V), V), with no derivative of the look-ahead at all.

    Where y_hat is detached, the weights in L_val are functions of V alone: held as W' stands.
    """
    method, step = problem(name, classes, detach=detach, criterion=criterion)
    reference, gradient = Reference(method, step), estimate("exact", method, step)
    second_order = gradient - reference.direct_term(LR)
    held = reference.val_logits(reference.ahead(LR)) if detach else None
    start = checked = 0
    for variable in method.weighting.parameters():
        stop = start + variable.numel()
        k = int(second_order[start:stop].abs().argmax())
        ours, share = gradient[start + k], second_order[start + k].abs()
        start = stop
        if share < 1e-5:  # a bias before batch norm has no gradient
            continue
        checked += 1
        difference = central_difference(
            lambda: reference.val(reference.ahead(LR), held).item(),
            variable.view(-1)[k],
            h=1e-6,
        )
        assert abs(difference - ours) < 1e-4 * share
    assert checked >= 5


@tasks
@models
def test_direct_is_plain_autograd_at_the_current_parameters(name, classes):
    method, step = problem(name, classes)
    current = {name: value.detach() for name, value in step.model.named_parameters()}
    reference = Reference(method, step)
    expected = reference.of_weighting(reference.val(current))
    direct = estimate("direct", method, step, xi=123.0)
    torch.testing.assert_close(direct, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("detach", [True, False])
@tasks
@models
def test_every_estimator_is_direct_at_xi_zero(name, classes, detach):
    method, step = problem(name, classes, detach=detach)
    direct = estimate("direct", method, step)
    for other in ("exact", "finite_difference"):
        torch.testing.assert_close(estimate(other, method, step, xi=0.0), direct)
    assert (estimate("exact", method, step) - direct).norm() > 1e-3


@models
def test_without_a_look_ahead_a_fixed_criterion_says_nothing(name):
    method, step = problem(name, 2, criterion="ce")
    assert (estimate("exact", method, step, xi=0.0) == 0).all()


@models
def test_detaching_is_a_different_gradient(name):
    whole, cut = (estimate("exact", *problem(name, 2, detach=detach)) for detach in (False, True))
    direct = estimate("direct", *problem(name, 2))
    assert (whole - cut).norm() > 0.1 * (cut - direct).norm()


@tasks
@models
def test_exact_in_single_precision(name, classes):
    double, step = problem(name, classes, "al2")
    single = problem(name, classes, "al2")[0].float()
    low = replace(step, model=copy.deepcopy(step.model).float())
    exact, direct = estimate("exact", double, step), Reference(double, step).direct_term(LR)
    error = estimate("exact", single, low).double() - exact
    assert error.norm() < 1e-3 * (exact - direct).norm()


def finite_difference_error(name, classes, *, seed=3, n=24, smooth_controller=True, detach=False):
    """Error of DARTS' estimate on a smooth DRS, relative to the second-order term."""
    method, step = problem(name, classes, "al2", n=n, seed=seed, detach=detach)
    smooth(step.model)
    if smooth_controller:
        smooth(method.weighting)
    return errors(estimate("finite_difference", method, step), Reference(method, step))[0]


@tasks
@models
def test_finite_difference_agrees_where_everything_is_smooth(name, classes):
    assert finite_difference_error(name, classes) < 1e-3


@tasks
@models
def test_finite_difference_is_wrong_where_y_hat_is_detached(name, classes):
    """It moves W, and so sees the path through the controller's input that detach cuts."""
    assert finite_difference_error(name, classes, detach=True) > 0.1


def test_finite_difference_is_wrong_where_examples_cross_the_controllers_kinks():
    """The derivative of a ReLU jumps within its step: divided by the step, the jump is large."""
    kinked, even = (
        [
            finite_difference_error("ipnn", 2, n=256, seed=seed, smooth_controller=tanh)
            for seed in range(4)
        ]
        for tanh in (False, True)
    )
    assert median(kinked) > 0.5
    assert max(even) < 2e-3


@tasks
@models
def test_finite_difference_is_darts_equation_8(name, classes):
    """Direct at W' minus xi (dV at W+ - dV at W-) / 2 eps, W+- = W +- eps dL_val/dW'."""
    method, step = problem(name, classes, "al2")
    reference = Reference(method, step)
    ahead = {k: w.requires_grad_() for k, w in reference.ahead(LR).items()}
    slope = torch.autograd.grad(reference.val(ahead), list(ahead.values()))
    eps = 0.01 / flat(slope).norm()

    def at(sign):
        pairs = zip(reference.params.items(), slope, strict=True)
        return reference.of_weighting(
            reference.train({k: w.detach() + sign * eps * v for (k, w), v in pairs})
        )

    expected = reference.direct_term(LR) - LR * (at(+1) - at(-1)) / (2 * eps)
    gradient = estimate("finite_difference", method, step)
    torch.testing.assert_close(gradient, expected, rtol=1e-7, atol=1e-10)


by_adam = pytest.mark.parametrize(
    "training",
    [
        {"table_updates": "dense"},
        {"table_updates": "deferred"},
        {"weight_decay": 0.3},
        {"weight_decay": 0.3, "decoupled_weight_decay": True, "table_updates": "deferred"},
    ],
    ids=["dense", "deferred", "L2", "decoupled"],
)


def optimized(method, name, classes, training, **options):
    """A problem whose model Adam has moved, the look-ahead being its next step; the reference."""
    task = Task(classes)
    model = smooth(make_model(name, task))
    adam, past = make_adam(model, task, **training)
    step = replace(make_step(model, task), opener=adam.open, advance=adam.advance)
    method = make_method(method, task, hidden=(8, 6), look_ahead="optimizer", **options)
    adam.settle()
    decoupled, decay = training.get("decoupled_weight_decay"), training.get("weight_decay", 0.0)
    l2, decay = (0.0, decay) if decoupled else (decay, 0.0)
    return method, step, ByAdam(method, step, past, l2, decay)


@by_adam
@pytest.mark.parametrize("criterion", ["mixture", "ce"])
@tasks
@models
def test_through_the_optimizers_own_step_exact_equals_dense_double_backward(
    name, classes, criterion, training
):
    method, step, reference = optimized("autoloss", name, classes, training, criterion=criterion)
    expected, direct = reference.double_backward(LR), reference.direct_term(LR)
    second_order = (expected - direct).norm()
    along_gradient = Reference(method, step).double_backward(LR)
    assert (expected - along_gradient).norm() > 0.1 * second_order > 1e-6
    gradient = estimate("exact", method, step)
    assert (gradient - expected).norm() < 1e-9 * second_order
    near = reference.double_backward(LR / 7)
    assert (estimate("exact", method, step, xi=LR / 7) - near).norm() < 1e-9 * second_order


@by_adam
@tasks
@models
def test_through_the_optimizers_own_step_finite_difference_comes_near(name, classes, training):
    """Attached and smooth, without the hinge and its kinks: where it can be right at all."""
    smooth_losses = LossOptions(candidates=("focal", "kl", "ce"))
    method, step, reference = optimized(
        "al2", name, classes, training, losses=smooth_losses, detach=False
    )
    smooth(method.weighting)
    expected, direct = reference.double_backward(LR), reference.direct_term(LR)
    error = estimate("finite_difference", method, step) - expected
    assert error.norm() < 2e-3 * (expected - direct).norm()


def test_through_the_optimizers_own_step_xi_over_lr_1_is_the_models_rate():
    method, step, reference = optimized("autoloss", "deepfm", 5, {}, criterion="ce")
    expected = reference.double_backward(LR)
    method.before_step(step)
    used = flat(tuple(p.grad for p in method.weighting.parameters()))
    assert (used - expected).norm() < 1e-9 * expected.norm()


def test_a_loop_that_does_not_offer_its_optimizers_step_is_told_so():
    method, step = problem("deepfm", 2, look_ahead="optimizer")
    with pytest.raises(ConfigError, match=r"(?s)autoloss\.look_ahead.*`advance`"):
        method.before_step(step)


def test_both_losses_repeat_what_they_draw():
    method, step = problem("deepfm", 2)
    outer = method.outer_problem(step)
    for loss in (outer.train_loss, outer.val_loss):
        first = loss(outer.params)
        torch.rand(3)
        assert torch.equal(loss(outer.params), first)


@tasks
@models
def test_the_look_ahead_uses_the_loss_of_the_coming_inner_step(name, classes):
    """Same dropout masks, same Gumbel noise: Eq. 13 is about the step that is then taken."""
    method, step = problem(name, classes)
    ahead = method.outer_problem(step)
    with drawing(dropouts(step.model), Draw.of(step.t, step.seed, "dropout", "inner")):
        logits = step.model(step.batch.ids)
    torch.testing.assert_close(step.forward(), logits, rtol=1e-12, atol=0)
    inner = method.loss(step.batch.labels, step.forward(), step.t)  # as the training loop does
    for params in (ahead.params, dict(ahead.params)):  # the latter computes the logits anew
        assert torch.equal(ahead.train_loss(params), inner)


@pytest.mark.parametrize("estimator", ["direct", "exact", "finite_difference"])
@models
def test_an_outer_step_leaves_model_and_generator_as_they_were(name, estimator):
    method, step = problem(name, 2, hypergradient=estimator)
    with untouched(step):
        assert method.before_step(step)


@pytest.mark.parametrize("estimator", ["direct", "exact", "finite_difference"])
def test_the_option_chooses_the_estimator(estimator):
    method, step = problem("deepfm", 2, hypergradient=estimator)
    estimates = {name: estimate(name, method, step) for name in ESTIMATORS}
    method.before_step(step)
    used = flat(tuple(p.grad for p in method.weighting.parameters()))
    assert [name for name, g in estimates.items() if torch.equal(g, used)] == [estimator]


@pytest.mark.parametrize("estimator", ESTIMATORS)
@tasks
@models
def test_simultaneous_updates_leave_the_models_gradient_under_the_old_weights(
    name, classes, estimator
):
    method, step = problem(name, classes, updates="simultaneous", hypergradient=estimator)
    method.weighting.requires_grad_(False)  # as it is between outer steps
    old = copy.deepcopy(method)
    assert method.before_step(step)
    params = step.opened.params
    loss, weights = old.weigh(old.examples(*step.batch, step.forward(params)), step.t)
    expected = torch.autograd.grad(loss, list(params.values()))
    assert torch.equal(step.descent.loss, loss)
    assert torch.equal(step.descent.weights, weights)
    for ours, theirs in zip(step.descent.gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-14)
    assert not any(gradient.requires_grad for gradient in step.descent.gradients)


def test_the_loop_takes_the_step_that_was_looked_ahead_at(tiny):
    def after_one_step(updates, outer=True):
        """Of seven plain steps, after which Adam's step depends on the gradient's size, and one."""
        # Before batch norm biases have no gradient but rounding, which Adam blows up.
        config = overlay(tiny_config(), {"model": {"batch_norm": False}}, "test")
        run = Trainer(config, tiny["binary"], "deepfm", load("autoloss"), 0)
        run.method.options["updates"], due = updates, run.method.before_step
        run.method.before_step = lambda step: False
        while run.progress.steps < 7:
            run.inner_step()
        if outer:
            run.method.before_step = due
        run.inner_step()
        return torch.cat([p.detach().flatten() for p in run.model.parameters()])

    still = after_one_step("simultaneous", outer=False)
    together, anew = after_one_step("simultaneous"), after_one_step("alternating")
    torch.testing.assert_close(together, still, rtol=0, atol=1e-7)
    assert (anew - still).abs().max() > 1e-6


class OneWeight(nn.Module):
    """Every logit is the one weight w = 1."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones((), dtype=torch.float64))

    def forward(self, ids):
        return self.w.expand(len(ids))


@pytest.mark.parametrize(
    ("updates", "slopes"),
    [({}, [1 / 2, 1 / 2, 1 / 4]), ({"updates": "simultaneous"}, [1 / 2, 1 / 2, 1 / 2])],
)
def test_v_takes_its_step_first_and_w_then_its_under_the_new_v(updates, slopes):
    """Algorithm 1, by hand: losses w and 0 under weights p and 1 - p, so dL_train/dw = p.

    Adam's first step moves both scores by its rate, log(3) / 2, p from 1/2 to 1/4. It comes before
    the third step on w, as f = 2; the fourth has the new p either way.
    """
    model, batch = OneWeight(), Batch(torch.zeros(4, 1, dtype=torch.long), torch.zeros(4))
    options = {"every": 2, "lr": math.log(3) / 2, "criterion": "mixture", **updates}
    method = Template(losses=LossOptions(candidates=("focal", "ce")), options=options).double()
    method.candidates = lambda labels, logits: torch.stack((logits, 0 * logits), dim=-1)
    found = []
    for t in range(4):
        step = Step(t, model, batch, validation=lambda k: batch, lr=0.1, seed=t)
        method.before_step(step)
        _, _, (slope,) = step.descent or method.descend(step)
        found.append(slope.item())
    assert found == pytest.approx([*slopes, 1 / 4])


@pytest.mark.parametrize(("share", "xi"), [(1.0, LR), (0.5, LR / 2)])
def test_an_outer_step_is_adams_on_the_estimate_at_xi_over_lr_times_lr(share, xi):
    task = Task(5)
    method = make_method("autoloss", task, hidden=(8, 6), every=1, lr=0.01, xi_over_lr=share)
    twins = [p.detach().clone().requires_grad_() for p in method.weighting.parameters()]
    adam = torch.optim.Adam(twins, lr=0.01, fused=True)
    for t in (1, 2, 3):
        step = make_step(make_model("deepfm", task), task, t=t)
        method.weighting.requires_grad_(True)
        reference = Reference(method, step).double_backward(xi)
        gradients = ESTIMATORS["exact"](method.outer_problem(step), xi)
        torch.testing.assert_close(flat(gradients), reference, rtol=1e-9, atol=1e-13)
        for twin, gradient in zip(twins, gradients, strict=True):
            twin.grad = gradient
        adam.step()
        method.before_step(step)
        for ours, twin in zip(method.weighting.parameters(), twins, strict=True):
            assert torch.equal(ours, twin)


def test_v_is_constant_but_in_the_outer_step():
    method, step = problem("deepfm", 2)
    method.before_step(step)
    assert not any(p.requires_grad for p in method.parameters())


@pytest.mark.parametrize(
    ("every", "due"), [(3, [0, 0, 0, 1, 0, 0, 1, 0]), (1, [0, 1, 1, 1, 1, 1, 1, 1])]
)
def test_an_outer_step_comes_after_every_fth_step_on_validation_batches_in_turn(every, due):
    """Section 3.7: the controller is updated after every f updates of the model."""
    task, asked, moved = Task(), [], []
    method = make_method("autoloss", task, hidden=(8, 6), every=every)
    model = make_model("deepfm", task)
    for t in range(8):
        step = make_step(model, task, t=t)
        validation = step.validation
        before = flat(tuple(method.weighting.parameters())).clone()
        done = method.before_step(
            replace(step, validation=lambda k, v=validation: asked.append(k) or v(k))
        )
        moved.append(not torch.equal(flat(tuple(method.weighting.parameters())), before))
        assert done == moved[-1]
    assert moved == due
    assert asked == list(range(sum(due)))


class OnTraining(load("al2")):
    """AL-2, learning on the training batch as SLF does."""

    info = replace(load("al2").info, learns_on="training")


def test_a_method_that_learns_on_training_uses_the_batch_of_the_coming_step():
    task = Task(5)
    method = OnTraining(task, options={"hidden": (8, 6), "dropout": 0.0}).double()
    step = replace(make_step(make_model("deepfm", task, dropout=0.0), task), validation=None)
    outer = method.outer_problem(step)
    assert torch.equal(outer.val_loss(outer.params), outer.train_loss(outer.params))
    assert method.before_step(step)


def test_a_restored_method_goes_on_with_the_same_bits():
    method, step = problem("deepfm", 2)
    method.before_step(step)
    restored = problem("deepfm", 2, seed=3)[0]
    restored.load_state_dict(copy.deepcopy(method.state_dict()))
    for m in (method, restored):
        m.before_step(replace(step, t=14, seed=8))
    ours, theirs = (flat(tuple(m.weighting.parameters())) for m in (method, restored))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hypergradient": "direct", "criterion": "ce"}, "criterion.*does not depend on the weig"),
        ({"every": 0}, "every: is 0"),
        ({"hypergradient": "exct"}, r"(?s)hypergradient.*did you mean 'exact'"),
        ({"criterion": "auc"}, r"(?s)criterion.*known: ce, mixture"),
        ({"updates": "both"}, r"(?s)updates.*known: alternating, simultaneous"),
        ({"look_ahead": "adam"}, r"(?s)look_ahead.*known: gradient, optimizer"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        make_method("autoloss", Task(), **options)
