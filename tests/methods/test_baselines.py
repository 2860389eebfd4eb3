"""The baselines against hand-worked values, closed forms and the same thing computed otherwise."""

from __future__ import annotations

import copy
import itertools
import math
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch.autograd import grad

from autoloss.config import LossOptions
from autoloss.errors import ConfigError
from autoloss.functional import decision_layers
from autoloss.hypergradient import ESTIMATORS
from autoloss.layers.dropout import drawing, dropouts
from autoloss.methods.fixed import BudgetSpentError
from autoloss.methods.load import load
from autoloss.methods.weighting import Temperature
from autoloss.search.simplex import finest, grid, simplex, size
from autoloss.seeds import Draw
from autoloss.task import Task
from autoloss.training.loop import Trainer
from baselines._hyperband import brackets, successive_halving
from baselines.bohb import BOHB, Points, lowest, weights_of
from baselines.slf import Gates
from tests.tiny import tiny_config
from tests.unit.noise import gumbel, seed_at
from tests.unit.problems import LR, flat, make_model, make_step, smooth, untouched
from tests.unit.reference import Reference

SCORES = torch.tensor([0.4, -0.3, 0.8, 0.1], dtype=torch.float64)
NAMES = ("focal", "kl", "hinge", "ce")

EVERYWHERE = [("deepfm", 2), ("deepfm", 5), ("ipnn", 2), ("ipnn", 5)]
everywhere = pytest.mark.parametrize(("model", "classes"), EVERYWHERE)


def problem(name, model, classes, t=7):
    """A method in float64, global scores all different, and a coming step."""
    task = Task(classes)
    method = load(name)(task, steps_per_epoch=10, seed=3).double()
    weighting = getattr(method, "weighting", torch.nn.Identity()).requires_grad_()
    if hasattr(weighting, "scores"):
        weighting.scores.data.copy_(SCORES)
    return method, make_step(make_model(model, task), task, t=t)


def estimate(method, step, name="exact"):
    return flat(ESTIMATORS[name](method.outer_problem(step), LR))


def by_hand(labels, logits):
    """Focal, KL, hinge and cross-entropy from probabilities, `[B, 4]`."""
    if logits.dim() == 1:
        logits = torch.stack((torch.zeros_like(logits), logits), dim=-1)
    q = logits.softmax(-1)
    truth = torch.eye(q.shape[-1], dtype=q.dtype)[labels.long()]
    p, rival = (q * truth).sum(-1), (q * (1 - truth)).amax(-1)
    soft = 0.9 * truth + 0.1 / q.shape[-1]
    kl = (soft * (soft / q).log()).sum(-1)
    return torch.stack((-(1 - p).square() * p.log(), kl, 1 - p + rival, -p.log()), dim=-1)


def losses_of(model, batch, draw):
    """The four losses of each example, with the dropout masks of `draw`."""
    with drawing(dropouts(model), draw):
        return by_hand(batch.labels, model(batch.ids))


def is_mean_of(sample, expected):
    """Within four standard errors."""
    sample = torch.as_tensor(sample).double()
    return abs(sample.mean() - expected) < 4 * sample.std() / math.sqrt(len(sample))


def published(method):
    """The upper criterion, and the weighting's own Adam."""
    adam = method.optimizer.options
    return method.options["criterion"], adam.lr, adam.betas, adam.weight_decay


EMBEDDINGS = {
    "deepfm": {"embedding.weight", "linear.weight"},
    "ipnn": {"embedding.weight"},
    "plain": {f"tables.{field}.weight" for field in range(4)},
}


class AboveEmbeddings(Reference):
    """Embeddings hold still in the look-ahead step."""

    @property
    def params(self):
        held = set.union(*EMBEDDINGS.values())
        return {name: w for name, w in super().params.items() if name not in held}


@pytest.mark.parametrize("on", ["probability", "logit"])
def test_hinge_on_logits_is_that_whatever_the_other_candidates_read(on):
    method = load("hinge_logit")(Task(), LossOptions(hinge_on=on, focal_gamma=3.0))
    labels, logits = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0.25, 2.0, 0.5])
    assert method.loss(labels, logits, t=0) == (0.75 + 0 + 1.5) / 3
    assert method.candidates.options == LossOptions(hinge_on="logit", focal_gamma=3.0)


@pytest.mark.parametrize(("model", "classes"), [*EVERYWHERE, ("plain", 2)])
def test_melu_looks_ahead_over_the_decision_layers_alone(model, classes):
    method, step = problem("melu", model, classes)
    names = dict(step.model.named_parameters()).keys()
    assert decision_layers(step.model) == names - EMBEDDINGS[model]
    gradient, everything = estimate(method, step), Reference(method, step).double_backward(LR)
    expected = AboveEmbeddings(method, step).double_backward(LR)
    assert (gradient - expected).norm() < 1e-10 * expected.norm()
    assert (gradient - everything).norm() > 0.01 * everything.norm()
    with untouched(step):
        method.before_step(step)
    assert (method.weighting.scores.grad - expected).norm() < 1e-9 * expected.norm()
    assert published(method) == ("ce", 0.01, (0.9, 0.999), 0)


def test_melu_as_published_looks_ahead_by_5e_6_and_cannot_move_a_score():
    method, step = problem("melu_published", "deepfm", 2)
    expected = AboveEmbeddings(method, step).double_backward(0.005 * LR)
    before = SCORES.clone()
    method.before_step(step)
    assert (method.weighting.scores.grad - expected).norm() < 1e-9 * expected.norm()
    assert published(method) == ("ce", 5e-5, (0.9, 0.999), 0)
    assert 0 < (method.weighting.scores - before).abs().max() <= 5e-5 * (1 + 1e-9)


@everywhere
def test_darts_follows_its_equation_7_and_the_central_difference_comes_near(model, classes):
    """The latter on a smooth model, where no example crosses a kink within the difference."""
    method, step = problem("darts", model, classes)
    for name, tolerance in (("exact", 1e-10), ("finite_difference", 1e-3)):
        expected = Reference(method, step).double_backward(LR)
        second_order = (expected - Reference(method, step).direct_term(LR)).norm()
        assert second_order > 1e-5
        assert (estimate(method, step, name) - expected).norm() < tolerance * second_order
        smooth(step.model)
    assert published(method) == ("mixture", 0.0003, (0.5, 0.999), 0.001)


@everywhere
def test_first_order_darts_is_the_softmax_jacobian_times_the_validation_losses(model, classes):
    method, step = problem("darts_first", model, classes)
    twin, draw = copy.deepcopy(step.model), step.draw("outer")
    losses = losses_of(twin, step.validation(0), draw).mean(0).detach()
    p = SCORES.exp() / SCORES.exp().sum()
    with untouched(step):
        assert method.before_step(step)
    expected = (torch.diag(p) - torch.outer(p, p)) @ losses
    torch.testing.assert_close(method.weighting.scores.grad, expected, rtol=1e-10, atol=0)


class OfLossValues(Reference):
    """The weights are the net's at the losses' values: at constants, or, wrongly, through them."""

    through = False

    def mixture(self, labels, logits, role, seen):
        losses = by_hand(labels, logits)
        shown = losses if self.through else losses.detach()
        return (self.method.weighting(shown) * losses).sum(-1).mean()


@everywhere
def test_meta_weight_net_learns_on_cross_entropy_after_a_step_under_its_weights(model, classes):
    method, step = problem("meta_weight_net", model, classes)
    gradient, expected = estimate(method, step), OfLossValues(method, step).double_backward(LR)
    other = type("", (OfLossValues,), {"through": True})(method, step).double_backward(LR)
    assert (gradient - expected).norm() < 1e-10 * expected.norm()
    assert (gradient - other).norm() > 0.01 * other.norm()
    assert published(method) == ("ce", 0.001, (0.9, 0.999), 0.0001)
    logits = step.forward()
    _, weights = method.weigh(method.examples(*step.batch, logits), t=0)
    v, a, w, b = method.weighting.parameters()
    assert (v.shape, weights.shape) == ((100, 4), (24, 4))
    hidden = (by_hand(step.batch.labels, logits) @ v.T + a).clamp(min=0)
    torch.testing.assert_close(weights, 1 / (1 + (-(hidden @ w.T + b)).exp()))


def joint_weights(name, scores, t, steps_per_epoch):
    """The joint methods' formulas, with the noise of inner step `t` of seed 0."""
    seed = seed_at(0, t, 0, "noise", "inner")
    tau = 1 - 0.91685 * t / steps_per_epoch
    if name == "gumbel_only":
        noise = torch.from_numpy(gumbel(seed, tuple(scores.shape)))
        return ((scores.log_softmax(-1) + noise) / tau).softmax(-1)
    if name == "slf":
        a, b = np.exp(-gumbel(seed, (2, len(scores), 4)))  # exponential draws
        a, b = torch.from_numpy(b), torch.from_numpy(a)
        shares = scores[:, 4:].exp() / (1 + (a / b * scores[:, :4].exp()) ** (-1 / tau))
        return shares / shares.sum(-1, keepdim=True)
    return 1 / scores.exp()


@pytest.mark.parametrize("task", ["binary", "rating"])
@pytest.mark.parametrize("name", ["gumbel_only", "slf", "uncertainty"])
def test_joint_methods_descend_the_training_loss_in_the_very_step_of_the_model(name, task, tiny):
    """V's gradient at the model before its step; the model's as if V were constant."""
    run = Trainer(tiny_config(), tiny[task], "deepfm", load(name), 0)
    run.model.double().train()
    weighting = run.method.double().train().weighting
    if name != "slf":
        weighting.scores.data.copy_(SCORES)
    run.progress.steps = t = 3  # tau below 1
    twin, old = copy.deepcopy(run.model), copy.deepcopy(weighting)
    _, used = run.inner_step()
    batch = run.train.batch(t)
    with drawing(dropouts(twin), Draw.of(t, 0, "dropout", "inner")):
        logits = twin(batch.ids)
    with drawing(dropouts(old), Draw.of(t, 0, "noise", "inner")):
        losses, scores = by_hand(batch.labels, logits), old(batch.labels, logits.detach())
    weights = joint_weights(name, scores, t, run.train.count)
    torch.testing.assert_close(used, weights.detach(), rtol=1e-9, atol=1e-12)
    penalty = scores.sum() / 2 if name == "uncertainty" else 0.0
    of_v = (weights * losses.detach()).sum(-1).mean() + penalty
    of_model = (weights.detach() * losses).sum(-1).mean()
    for ours, reference, loss in ((weighting, old, of_v), (run.model, twin, of_model)):
        expected = flat(grad(loss, list(reference.parameters())))
        gradient = flat(tuple(p.grad for p in ours.parameters()))
        assert expected.abs().max() > 1e-3
        torch.testing.assert_close(gradient, expected, rtol=1e-8, atol=1e-12)
        moved = flat(tuple(ours.parameters())) - flat(tuple(reference.parameters()))
        adam = -0.001 * expected / (expected.abs() + 1e-8)  # its first step
        torch.testing.assert_close(moved, adam, rtol=0, atol=1e-7)


@pytest.mark.parametrize("s", [-2.0, 0.0, 1.3])
def test_gates_of_slf_are_on_with_probability_sigmoid_s_independently_at_any_temperature(s):
    """At tau = 1 sigmoid(L) is uniform: the mean is the integral of a u / (1 + (a - 1) u)."""
    n, a = 200_000, math.exp(s)
    for tau in (0.2, 1.0):
        draw = Draw(0, 1)
        gates = Gates(Temperature(tau, 0.0, 0.01, 1)).log_gates(torch.full((n, 2), s), draw).exp()
        assert is_mean_of(gates[:, 0] > 0.5, a / (1 + a))
        assert is_mean_of((gates > 0.5).all(-1), (a / (1 + a)) ** 2)  # several may be on at once
        assert abs(torch.corrcoef(gates.T)[0, 1]) < 4 / math.sqrt(n)
    assert is_mean_of(gates[:, 0], a * (a - 1 - s) / (a - 1) ** 2 if s else 0.5)


def given_losses(name, **arguments):
    """A method whose candidates are the logits themselves, `[B, 4]`."""
    method = load(name)(Task(), **arguments).double()
    method.candidates = lambda labels, logits: logits
    return method


def test_uncertainty_is_the_hand_worked_loss_with_its_hand_worked_gradient():
    method = given_losses("uncertainty")
    (s,) = method.weighting.parameters()
    assert s.tolist() == [-0.5] * 4
    s.data = torch.tensor([1.0, 2.0, 4.0, 0.5]).double().log()
    losses = torch.tensor([[0.0, 3.0, 1.0, 6.0], [1.0, 1.0, 3.0, 10.0]]).double()
    loss, weights = method.weigh(method.examples(None, torch.zeros(2), losses), t=0)
    # Means 0.5, 2, 2, 8 over exp(s) = 1, 2, 4, 1/2, whose logarithms sum to log 4.
    assert loss.item() == pytest.approx(0.5 + 1 + 0.5 + 16 + math.log(4) / 2)
    assert weights.tolist() == pytest.approx([1, 1 / 2, 1 / 4, 2])
    (gradient,) = grad(loss, s)  # -l / exp(s) + 1/2: at rest where exp(s) = 2 l
    assert gradient.tolist() == pytest.approx([0.0, -0.5, 0.0, -15.5])


def test_dwa_weighs_by_the_fall_of_the_last_two_epochs_means():
    """Three steps an epoch; within the third, another method takes its state over."""
    method = given_losses("dwa", steps_per_epoch=3)
    epochs = (  # means, and weights: 4 softmax of half the ratio of the two before
        ([1.0, 2.0, 4.0, 8.0], [1.0, 1.0, 1.0, 1.0]),
        ([0.5, 2.0, 3.0, 8.0], [1.0, 1.0, 1.0, 1.0]),
        ([0.25, 1.0, 3.0, 4.0], [0.850847, 1.092509, 0.964136, 1.092509]),  # 1/2, 1, 3/4, 1
        ([0.125, 1.0, 3.0, 1.0], [0.933701, 0.933701, 1.198896, 0.933701]),  # 1/2, 1/2, 1, 1/2
        ([1.0, 1.0, 1.0, 1.0], [0.898766, 1.154038, 1.154038, 0.793158]),  # 1/2, 1, 1, 1/4
    )
    for t in range(15):
        if t == 7:
            state, method = method.state_dict(), given_losses("dwa", steps_per_epoch=3)
            method.load_state_dict(state)
        method.before_step(SimpleNamespace(t=t))
        means, expected = epochs[t // 3]
        spread = (t // 3) * (torch.tensor([[0.2], [-0.2]]) + 0.1 * (t % 3 - 1))  # of mean 0
        losses = torch.tensor(means) * (1 + spread)
        loss, weights = method.weigh(method.examples(None, torch.zeros(2), losses), t)
        assert weights.tolist() == pytest.approx(expected, abs=1e-6)
        assert loss.item() == pytest.approx((losses.mean(0) * weights).sum().item())


@everywhere
def test_gradnorm_follows_its_equation_2(model, classes):
    """Norms by backward passes on a copy of the model, the scores' gradient by differences."""
    method, _ = problem("gradnorm", model, classes)
    measured, scores = [], method.weighting.scores
    for t, power in (0, 0), (7, 1.25), (8, 1.75):
        _, step = problem("gradnorm", model, classes, t)
        twin = copy.deepcopy(step.model)
        losses, last = losses_of(twin, step.batch, step.draw()).mean(0), twin.mlp[-1].weight
        norms = torch.stack([grad(x, last, retain_graph=True)[0].norm() for x in losses])
        measured.append(losses.detach())
        rate = measured[-1] / measured[0]  # since the first step
        rate /= rate.mean()
        if t:  # near the target on either side: its gradient shows no more of a than signs
            scores.data.copy_((rate**power / norms).log())
        s = scores.detach().clone()
        target = (4 * s.softmax(0) * norms).mean() * rate**1.5
        around = s + 1e-6 * torch.stack((torch.eye(4), -torch.eye(4)))
        above, below = (4 * around.softmax(-1) * norms - target).abs().sum(-1)
        with untouched(step):
            assert method.before_step(step)
        torch.testing.assert_close(scores.grad, (above - below) / 2e-6, rtol=1e-6, atol=1e-8)
        _, weights = method.weigh(method.examples(*step.batch, step.forward()), t)
        assert weights.sum().item() == pytest.approx(4)


@everywhere
def test_l2rw_weighs_pairs_by_what_they_do_for_validation(model, classes, monkeypatch):
    """u_bi = max(0, <grad l_bi, grad L_val>), one backward pass for each pair; 0 if none helps."""
    method, step = problem("l2rw", model, classes)
    with untouched(step):
        assert method.before_step(step)
    twin = copy.deepcopy(step.model)
    parameters = list(twin.parameters())
    val_losses = losses_of(twin, step.validation(step.t), step.draw("outer"))
    slope = flat(grad(val_losses[:, 3].mean(), parameters))
    pairs = losses_of(twin, step.batch, step.draw()).flatten()
    helps = [slope @ flat(grad(pair, parameters, retain_graph=True)) for pair in pairs]
    u = torch.stack(helps).view(24, 4).clamp(min=0)
    assert 0 < (u == 0).sum() < u.numel()
    _, weights = method.weigh(method.examples(*step.batch, step.forward()), step.t)
    torch.testing.assert_close(weights, 24 * u / u.sum(), rtol=1e-9, atol=1e-12)
    monkeypatch.setattr("baselines.l2rw.exact", lambda problem, xi: (torch.ones(24, 4),))
    method.before_step(step)
    loss, weights = method.weigh(method.examples(*step.batch, step.forward()), step.t)
    assert loss == weights.abs().sum() == 0


def test_hyperbands_published_schedule():
    """Li et al., JMLR 2018, Table 1: R = 81, eta = 3."""
    assert [" ".join(f"{n}@{epochs}" for n, epochs in rungs) for rungs in brackets(81)] == [
        *("81@1 27@3 9@9 3@27 1@81", "34@3 11@9 3@27 1@81", "15@9 5@27 1@81", "8@27 2@81", "5@81")
    ]


@given(st.integers(1, 200))
def test_every_bracket_ends_with_whole_trials(max_epochs):
    schedule = brackets(max_epochs)
    assert len(schedule) == len(np.base_repr(max_epochs, 3))
    for bracket in schedule:
        trials, epochs = zip(*bracket, strict=True)
        assert min(trials) >= 1 <= epochs[0]
        assert (list(epochs), epochs[-1]) == (sorted(set(epochs)), max_epochs)


@pytest.mark.parametrize("n", [2, 4, 7])
def test_uniform_numbers_stand_for_points_of_the_simplex_near_its_corners(n):
    """Dirichlet(1/n, ..., 1/n): mean 1/n, a weight is a Beta(1/n, 1 - 1/n); for 4 in 5.5 % > .9."""
    draws = np.random.default_rng(0).uniform(lowest(n), 1, (20_000, n))
    points = torch.tensor([weights_of(u) for u in draws])
    torch.testing.assert_close(points.sum(-1), torch.ones(20_000))
    corner = stats.beta(1 / n, 1 - 1 / n).sf(0.9)
    assert n != 4 or corner == pytest.approx(0.0553, abs=1e-3)
    assert all(is_mean_of(w, 1 / n) and is_mean_of(w > 0.9, corner) for w in points.T)
    assert weights_of([0.5] * n) == pytest.approx([1 / n] * n)


@pytest.mark.parametrize("n", [1, 2, 4, 30, 300])
def test_the_lowest_numbers_still_stand_for_a_point(n):
    low = lowest(n)
    assert 0 < low < 0.9
    assert sum(weights_of([low] * n)) == pytest.approx(1)
    assert weights_of([low] * (n - 1) + [1 - 1e-6])[-1] == pytest.approx(1)


class FakeLab:
    """Trains nothing: a value is `value(weights, epochs, number of the call)`."""

    candidates, max_epochs, seed = NAMES, 9, 0

    def __init__(self, value, **space):
        self.value, self.calls, self.assignments, self.space = value, [], [], space
        self.published = {"method.weights": [0.25] * 4, "training.lr": 0.001}

    def train(self, assignment, epochs=None):
        if len(self.calls) == 200:
            raise BudgetSpentError
        self.assignments.append(assignment)
        self.calls.append((tuple(assignment["method.weights"]), epochs))
        return self.value(*self.calls[-1], len(self.calls))


def test_bohb_has_one_point_to_try_of_one_candidate():
    lab = FakeLab(lambda weights, epochs, call: 0.5)
    lab.candidates = ("ce",)
    BOHB.search(lab)
    assert lab.assignments == [{"method.weights": [1.0]}]


def halve(value):
    """One bracket of nine trials: the lab, and what its points know."""
    lab = FakeLab(value)
    points = Points(lab)
    successive_halving(points, [(9, 1), (3, 3), (1, 9)])
    return lab, points


def test_successive_halving_promotes_the_best_of_each_rung():
    """In the first rung a large first weight is good, in the second a small one."""
    values = {1: lambda w: w[0], 3: lambda w: -w[0], 9: lambda w: w[3] - 2}
    lab, points = halve(lambda weights, epochs, call: values[epochs](weights))
    first = [weights for weights, epochs in lab.calls if epochs == 1]
    best = sorted(first, reverse=True)[:3]
    rungs = {1: first, 3: best, 9: best[-1:]}
    assert len(first) == 9
    assert lab.calls == [(w, epochs) for epochs, rung in rungs.items() for w in rung]
    for epochs, rung in rungs.items():
        told = [trial.value for trial in points.known[epochs].trials]
        assert [v for v in told if v is not None] == [values[epochs](w) for w in rung]


@pytest.mark.parametrize("bad", [-math.inf, math.nan])
def test_a_trial_that_diverges_is_the_worst_and_the_others_go_on(bad):
    """The first and the fifth in the first rung, the best in the last."""
    lab, points = halve(lambda w, epochs, call: bad if call in (1, 5, 13) else w[0])
    first = [weights for weights, epochs in lab.calls if epochs == 1]
    best = sorted({*first} - {first[0], first[4]}, reverse=True)
    assert lab.calls[9:] == [*((w, 3) for w in best[:3]), (best[0], 9)]
    assert points.known[1].trials[0].value == points.known[9].trials[0].value == -math.inf


def test_bohb_runs_its_brackets_again_and_draws_a_third_at_random(monkeypatch):
    """Before five points of one number of epochs are known, all are drawn at random."""
    asked, ask = [], optuna.Study.ask

    def spy(study, space):
        known = [t.value for t in study.trials if t.state.name == "COMPLETE"]
        asked.append((type(study.sampler).__name__, len(known)))
        return ask(study, space)

    monkeypatch.setattr(optuna.Study, "ask", spy)
    lab = FakeLab(lambda weights, epochs, call: weights[2])
    with pytest.raises(BudgetSpentError):
        BOHB.search(lab)
    cycle = [epochs for bracket in brackets(9) for n, epochs in bracket for _ in range(n)]
    assert [epochs for _, epochs in lab.calls] == (cycle * 10)[:200]
    samplers, _ = zip(*asked, strict=True)
    assert {*samplers} == {"RandomSampler", "TPESampler"}
    assert samplers[:5] == ("RandomSampler",) * 5
    assert "TPESampler" in samplers[5:12]  # in the first rung of the first bracket
    assert min(n for sampler, n in asked if sampler == "TPESampler") >= len(NAMES) + 1
    assert is_mean_of([sampler == "RandomSampler" for sampler in samplers[5:]], 1 / 3)


def test_bohb_tunes_what_the_lab_offers_from_its_published_values_on():
    lab = FakeLab(lambda weights, epochs, call: 0.5, **{"training.lr": ("log", 1e-4, 1e-2)})
    with pytest.raises(BudgetSpentError):
        BOHB.search(lab)
    first, *others = lab.assignments
    assert first == {"method.weights": pytest.approx([0.25] * 4), "training.lr": 0.001}
    assert lab.calls[0][1] == lab.max_epochs
    rates = [assignment["training.lr"] for assignment in others]
    assert 1e-4 <= min(rates) < 5e-4 < 2e-3 < max(rates) <= 1e-2


@given(st.integers(1, 5), st.integers(1, 6))
def test_the_grid_is_every_point_of_the_simplex_in_steps_of_one_kth(n, k):
    points = [tuple(point) for point in simplex(n, k)]
    everything = itertools.product([j / k for j in range(k + 1)], repeat=n)
    assert len(points) == math.comb(n + k - 1, k)
    assert {*points} == {point for point in everything if math.isclose(sum(point), 1)}


@given(st.integers(1, 5), st.integers(1, 6))
def test_a_grid_begins_with_equal_weights_and_has_each_point_once(n, k):
    points = [tuple(point) for point in grid(n, k)]
    assert points[0] == (1 / n,) * n
    assert len(points) == len({*points}) == size(n, k)
    assert {*points} - {points[0]} == {tuple(point) for point in simplex(n, k)} - {points[0]}


@given(st.integers(2, 5), st.integers(1, 150))
def test_the_finest_grid_is_the_largest_that_the_budget_pays_for(n, points):
    assert [finest(4, budget) for budget in (4, 10, 11, 20, 21, 35)] == [1, 1, 2, 2, 3, 4]
    k = finest(n, points)
    assert k == 1 or size(n, k) <= points
    assert size(n, k + 1) > points


@pytest.mark.parametrize("weights", [[0.5, 0.5], [0.2] * 5, [0.5, -0.1, 0.3, 0.3], [0.0] * 4])
def test_searched_weights_that_cannot_be_meant_are_refused(weights):
    with pytest.raises(ConfigError, match=r"methods\.grid\.weights"):
        load("grid")(Task(), options={"weights": weights})


@pytest.mark.parametrize("name", ["grid", "bohb"])
def test_searched_weights_are_equal_until_found_and_weight_0_is_not_computed(name):
    labels, logits = torch.tensor([0, 3, 4]), torch.randn(3, 5)
    for found, weights in ((), [0.25] * 4), ([0.5, 0.0, 0.2, 0.3],) * 2:
        method = load(name)(Task(5), options={"weights": found})
        loss, reported = method.weigh(method.examples(None, labels, logits), t=0)
        assert method.used.names == tuple(n for n, w in zip(NAMES, weights, strict=True) if w)
        torch.testing.assert_close(reported, torch.tensor(weights))
        torch.testing.assert_close(loss, by_hand(labels, logits).mean(0) @ torch.tensor(weights))
