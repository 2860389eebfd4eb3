"""What gives the weights: the temperature schedule, Gumbel-softmax, the controller."""

import math

import pytest
import torch
from scipy import stats
from torch.nn import functional as F

from autoloss.methods.weighting import (
    Controller,
    GlobalLogits,
    GumbelSoftmax,
    Temperature,
    softmax,
)
from autoloss.seeds import Draw
from autoloss.task import Task
from tests.unit.problems import drawn

PAPER = Temperature(start=1.0, slope=5e-5, floor=0.01, unit=1)  # §3.3
CRITEO_STEPS = 18_337  # an epoch of Criteo at batch 2000
ALPHA = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)


def fixed(tau):
    return Temperature(start=tau, slope=0.0, floor=0.001, unit=1)


def draw(seed=0, t=0):
    return Draw(t, seed)


def controller(classes=2, detach=True, dropout=0.0, hidden=(8, 6)):
    return Controller(Task(classes), 4, hidden=hidden, dropout=dropout, detach=detach).double()


def predictions(classes, n=16):
    generator = torch.Generator().manual_seed(1)
    shape = (n,) if classes == 2 else (n, classes)
    logits = torch.randn(shape, generator=generator, dtype=torch.float64)
    return torch.randint(classes, (n,), generator=generator), logits


@pytest.mark.parametrize(
    ("t", "tau"), [(0, 1.0), (1, 0.99995), (10_000, 0.5), (19_800, 0.01), (10**6, 0.01)]
)
def test_the_papers_temperature(t, tau):
    assert PAPER(t) == pytest.approx(tau, rel=1e-12)


def test_temperature_reaches_the_floor_at_step_19800_and_no_sooner():
    assert PAPER(19_799) > 0.01
    assert PAPER(19_801) == 0.01


def test_the_slope_per_epoch_is_the_papers_slope_per_step_on_criteo():
    per_epoch = Temperature(start=1.0, slope=0.91685, floor=0.01, unit=CRITEO_STEPS)
    for t in range(0, 25_000, 500):
        assert per_epoch(t) == pytest.approx(PAPER(t), rel=1e-12)


def test_a_methods_options_say_its_temperature():
    options = {"tau_start": 1.0, "tau_slope": 0.5, "tau_floor": 0.01, "tau_unit": "step"}
    assert Temperature.of(options, steps_per_epoch=4)(1) == 0.5
    assert Temperature.of(options | {"tau_unit": "epoch"}, steps_per_epoch=4)(1) == 0.875


def test_a_small_data_set_anneals_over_the_same_share_of_training():
    small = Temperature(start=1.0, slope=0.91685, floor=0.01, unit=79)
    assert small(79) == pytest.approx(1 - 0.91685)
    assert small(math.ceil(79 * 1.0798)) == 0.01


@pytest.mark.parametrize("tau", [1.0, 0.1, 0.01])
@pytest.mark.parametrize("shape", [(4,), (50, 4)])
def test_gumbel_weights_are_on_the_simplex(shape, tau):
    scores = 10 * torch.randn(shape, generator=torch.Generator().manual_seed(2))
    weights = GumbelSoftmax(fixed(tau))(scores, draw())
    assert weights.shape == shape
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(-1), torch.ones(shape[:-1]))


def test_key_and_step_decide_the_noise():
    scores, relax = torch.zeros(50, 4), GumbelSoftmax(fixed(1.0))
    first = relax(scores, draw(seed=7))
    assert torch.equal(relax(scores, draw(seed=7)), first)
    for other in (draw(seed=8), draw(seed=7, t=1)):
        assert not torch.equal(relax(scores, other), first)


def test_the_noise_leaves_torchs_global_generator_alone():
    before = torch.get_rng_state()
    GumbelSoftmax(fixed(1.0))(torch.zeros(50, 4), draw())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("tau", [1.0, 0.05])
def test_each_candidate_wins_as_often_as_its_alpha(tau):
    """The Gumbel-max trick: argmax(log alpha + g) has the distribution alpha, at any tau."""
    scores = (ALPHA.log() + 3.0).expand(20_000, 4)  # scores need not be normalised
    winners = GumbelSoftmax(fixed(tau))(scores, draw()).argmax(-1)
    counts = torch.bincount(winners, minlength=4)
    assert stats.chisquare(counts, 20_000 * ALPHA).pvalue > 0.01


def test_two_equal_candidates_at_tau_one_have_a_uniform_weight():
    """The difference of two Gumbels is logistic, so its sigmoid is uniform: Eq. 10, exactly."""
    weights = GumbelSoftmax(fixed(1.0))(torch.zeros(20_000, 2, dtype=torch.float64), draw())
    assert stats.kstest(weights[:, 0], "uniform").pvalue > 0.01


def test_examples_draw_independently_and_global_scores_once():
    relax = GumbelSoftmax(fixed(1.0))
    assert relax(torch.zeros(4), draw()).shape == (4,)
    assert relax(torch.zeros(50, 4), draw())[:, 0].unique().numel() == 50


def test_tau_divides_the_noisy_scores():
    scores = ALPHA.log().expand(50, 4)
    ratios = [
        tau * F.log_softmax(GumbelSoftmax(fixed(tau))(scores, draw()).log(), dim=-1).diff()
        for tau in (1.0, 0.5)
    ]
    torch.testing.assert_close(ratios[0], ratios[1])


def test_the_step_of_the_draw_sets_tau():
    scheduled = GumbelSoftmax(PAPER)(ALPHA.log(), draw(t=10_000))
    torch.testing.assert_close(scheduled, GumbelSoftmax(fixed(0.5))(ALPHA.log(), draw(t=10_000)))


def test_a_low_temperature_nearly_picks_one():
    scores = ALPHA.log().expand(2000, 4)
    warm, cold = (GumbelSoftmax(fixed(tau))(scores, draw()).amax(-1).mean() for tau in (1, 0.01))
    assert warm < 0.8
    assert cold > 0.99


@pytest.mark.parametrize("tau", [1.0, 0.01])
def test_straight_through_is_one_hot_forward_and_soft_backward(tau):
    scores = torch.randn(500, 4, generator=torch.Generator().manual_seed(3)).requires_grad_()
    soft = GumbelSoftmax(fixed(tau))(scores, draw())
    hard = GumbelSoftmax(fixed(tau), straight_through=True)(scores, draw())
    upstream = torch.arange(4.0)
    assert (hard == F.one_hot(soft.argmax(-1), 4)).all()
    (expected,) = torch.autograd.grad((soft * upstream).sum(), scores)
    (gradient,) = torch.autograd.grad((hard * upstream).sum(), scores)
    assert expected.abs().max() > 0
    torch.testing.assert_close(gradient, expected)


def test_plain_softmax_is_alpha_whatever_the_draw():
    torch.testing.assert_close(softmax(ALPHA.log(), draw(seed=1, t=10**6)), ALPHA)


def test_global_logits_start_equal_and_look_at_nothing():
    weighting = GlobalLogits(4)
    scores = weighting(*predictions(2))
    assert scores.shape == (4,)
    torch.testing.assert_close(softmax(scores, draw()), torch.full((4,), 0.25))
    assert [p.shape for p in weighting.parameters()] == [(4,)]


def input_of(net, labels, logits):
    """What the controller's network is given."""
    seen = []
    handle = net.net.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    scores = net(labels, logits)
    handle.remove()
    return seen[0], scores


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_a_binary_controller_sees_the_label_and_the_probability(dtype):
    labels, logits = predictions(2)
    seen, scores = input_of(controller(), labels.to(dtype), logits)
    expected = torch.stack((labels.double(), 1 / (1 + (-logits).exp())), dim=-1)
    torch.testing.assert_close(seen, expected)
    assert scores.shape == (16, 4)


def test_a_five_class_controller_sees_one_hot_and_softmax_side_by_side():
    labels, logits = predictions(5)
    seen, scores = input_of(controller(5), labels, logits)
    truth = torch.eye(5, dtype=torch.float64)[labels]
    probabilities = logits.exp() / logits.exp().sum(-1, keepdim=True)
    torch.testing.assert_close(seen, torch.cat((truth, probabilities), dim=-1))
    assert seen.shape == (16, 10)
    assert scores.shape == (16, 4)


@pytest.mark.parametrize(("classes", "inputs"), [(2, 2), (5, 10)])
def test_the_papers_controller_is_two_layers_of_128_with_batch_norm(classes, inputs):
    net = controller(classes, hidden=(128, 128))
    count = sum(p.numel() for p in net.parameters())
    assert count == (inputs + 1) * 128 + 129 * 128 + 2 * 256 + 129 * 4
    assert not list(net.buffers())


@pytest.mark.parametrize("classes", [2, 5])
def test_the_controller_equals_its_formula(classes):
    labels, logits = predictions(classes)
    net = controller(classes)
    x, scores = input_of(net, labels, logits)
    *hidden, last = net.net
    assert len(hidden) == 2
    for layer in hidden:
        linear, norm = layer.linear, layer.norm
        x = x @ linear.weight.T + linear.bias
        x = (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt()
        x = (x * norm.weight + norm.bias).clamp(min=0)
    torch.testing.assert_close(scores, x @ last.weight.T + last.bias)


def test_dropout_acts_in_training_only():
    net, batch = controller(dropout=0.5), predictions(2)
    first, again, other = (drawn(net, *batch, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    net.eval()
    assert torch.equal(net(*batch), drawn(net, *batch))


@pytest.mark.parametrize("classes", [2, 5])
def test_detach_cuts_the_path_to_the_model_and_no_other(classes):
    labels, logits = predictions(classes)
    logits.requires_grad_()
    for detach in (True, False):
        net = controller(classes, detach=detach)
        scores = net(labels, logits)[:, 0].square().sum()
        to_logits, to_net = torch.autograd.grad(
            scores, [logits, net.net[0].linear.weight], allow_unused=True
        )
        assert (to_logits is None) == detach
        assert to_net.abs().max() > 0


def test_detach_changes_no_value():
    labels, logits = predictions(5)
    cut, whole = controller(5, detach=True), controller(5, detach=False)
    whole.load_state_dict(cut.state_dict())
    assert torch.equal(cut(labels, logits), whole(labels, logits))
