"""The candidate losses against hand-worked values and independent implementations."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import hinge_loss, log_loss
from torch.nn import functional as F

from autoloss.candidates import CandidateLosses
from autoloss.config import LossOptions
from autoloss.errors import ConfigError
from autoloss.losses import LOSSES
from autoloss.task import Task

NAMES = ("focal", "kl", "hinge", "ce")
ROUNDING = 1e-12  # of float64, where a bound is reached
EVERY_FORM = [
    LossOptions(hinge_on=on, focal_gamma=gamma, kl_smoothing=smoothing)
    for on in ("probability", "logit")
    for gamma, smoothing in ((2.0, 0.1), (0.5, 0.0), (0.0, 0.6))
]
every_form = pytest.mark.parametrize(
    "options", EVERY_FORM, ids=lambda o: f"{o.hinge_on}-{o.focal_gamma}-{o.kl_smoothing}"
)
properties = settings(max_examples=60, deadline=None, derandomize=True)
logit = st.floats(-40, 40)


def losses(classes, labels, logits, options=None, names=NAMES):
    """Name -> values `[B]`."""
    candidates = CandidateLosses(Task(classes), options or LossOptions(), names)
    labels, logits = torch.as_tensor(labels), torch.as_tensor(logits)
    return dict(zip(names, candidates(labels, logits).unbind(-1), strict=True))


def one(classes, label, logits, **options):
    """Name -> float, of one example in float64."""
    logits = torch.tensor([logits], dtype=torch.float64)
    values = losses(classes, torch.tensor([label]), logits, LossOptions(**options))
    return {name: value.item() for name, value in values.items()}


def sample(classes, n=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (n,) if classes == 2 else (n, classes)
    logits = 3 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return torch.randint(classes, (n,), generator=generator), logits


def as_columns(logits):
    """Logits `[B, C]`, also of a binary task: 0 for class 0."""
    return torch.stack((torch.zeros_like(logits), logits), -1) if logits.dim() == 1 else logits


def textbook(labels, logits, options):
    """The candidates from probabilities or torch.nn.functional; a binary task as two classes."""
    columns = as_columns(logits)
    rows, classes = torch.arange(len(labels)), columns.shape[-1]
    truth = F.one_hot(labels, classes).double()
    probs = columns.softmax(-1)
    true = probs[rows, labels]
    target = (1 - options.kl_smoothing) * truth + options.kl_smoothing / classes
    scores = columns if options.hinge_on == "logit" else probs
    rival = (scores - 1e9 * truth).max(-1).values
    return {
        "focal": -((1 - true) ** options.focal_gamma) * true.log(),
        "kl": F.kl_div(columns.log_softmax(-1), target, reduction="none").sum(-1),
        "hinge": (1 - (scores[rows, labels] - rival)).clamp(min=0),
        "ce": F.cross_entropy(columns, labels, reduction="none"),
    }


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        # p = 3/4 for class 1; q = (0.05, 0.95) for the kl
        (1, {"focal": 0.0179801, "kl": 0.1440977, "hinge": 0.5, "ce": 0.2876821}),
        (0, {"focal": 0.7797906, "kl": 1.1328487, "hinge": 1.5, "ce": 1.3862944}),
    ],
)
def test_binary_values_worked_by_hand(label, expected):
    assert one(2, label, math.log(3)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        # y_hat = (1, 2, 3, 4, 6) / 16; q = 0.92 on the label and 0.02 elsewhere
        (3, {"focal": 0.7797906, "kl": 1.0358549, "hinge": 1.125, "ce": 1.3862944}),
        (4, {"focal": 0.3831364, "kl": 0.6709364, "hinge": 0.875, "ce": 0.9808293}),
    ],
)
def test_five_class_values_worked_by_hand(label, expected):
    logits = [math.log(k) for k in (1, 2, 3, 4, 6)]
    assert one(5, label, logits) == pytest.approx(expected, abs=1e-6)


def test_hinge_on_logits_worked_by_hand():
    assert one(2, 1, math.log(3), hinge_on="logit")["hinge"] == 0
    assert one(2, 0, math.log(3), hinge_on="logit")["hinge"] == pytest.approx(1 + math.log(3))
    assert one(5, 3, [0, 9, -2, 9.5, 1], hinge_on="logit")["hinge"] == pytest.approx(0.5)


@every_form
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_equal_the_textbook_formulas(classes, options):
    labels, logits = sample(classes)
    ours, reference = losses(classes, labels, logits, options), textbook(labels, logits, options)
    for name in NAMES:
        torch.testing.assert_close(ours[name], reference[name], rtol=1e-11, atol=1e-13)


def test_binary_cross_entropy_is_torchs():
    labels, logits = sample(2)
    expected = F.binary_cross_entropy_with_logits(logits, labels.double(), reduction="none")
    torch.testing.assert_close(losses(2, labels, logits)["ce"], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("on", ["probability", "logit"])
@pytest.mark.parametrize("classes", [2, 5])
def test_means_equal_scikit_learns(classes, on):
    labels, logits = sample(classes)
    ours = losses(classes, labels, logits, LossOptions(hinge_on=on))
    probs, known = as_columns(logits).softmax(-1), np.arange(classes)
    assert ours["ce"].mean().item() == pytest.approx(log_loss(labels, probs, labels=known))
    scores = as_columns(logits) if on == "logit" else probs
    decision = scores[:, 1] - scores[:, 0] if classes == 2 else scores
    expected = hinge_loss(labels.numpy(), decision.numpy(), labels=known)
    assert ours["hinge"].mean().item() == pytest.approx(expected)


@every_form
@pytest.mark.parametrize("classes", [2, 5])
def test_first_and_second_derivatives(classes, options):
    labels, logits = sample(classes, n=6, seed=3)
    candidates = CandidateLosses(Task(classes), options, NAMES)

    def of_logits(z):
        return candidates(labels, z)

    logits.requires_grad_()
    assert torch.autograd.gradcheck(of_logits, logits)
    assert torch.autograd.gradgradcheck(of_logits, logits)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@every_form
@pytest.mark.parametrize("classes", [2, 5])
def test_extreme_logits_give_finite_values_and_two_finite_derivatives(classes, options, dtype):
    extremes = torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4], dtype=dtype)
    if classes > 2:
        extremes = torch.cartesian_prod(*[extremes[::2]] * classes)
    labels = torch.arange(classes).repeat_interleave(len(extremes))
    logits = extremes.repeat(classes, *[1] * (extremes.dim() - 1)).requires_grad_()
    for name in NAMES:
        value = losses(classes, labels, logits, options, [name])[name]
        (first,) = torch.autograd.grad(value.sum(), logits, create_graph=True)
        assert value.isfinite().all(), name
        assert first.isfinite().all(), name
        if first.requires_grad:  # a hinge on logits is linear
            weights = torch.linspace(1, 2, first.numel(), dtype=dtype).view_as(first)
            (second,) = torch.autograd.grad((first * weights).sum(), logits)
            assert second.isfinite().all(), name


@pytest.mark.parametrize("classes", [2, 5])
def test_confidently_wrong_examples_keep_their_gradient(classes):
    """At a logit of 1e4 a probability rounds to 0 or 1: the log forms must not lose the slope."""
    logits = torch.zeros(1, dtype=torch.float32) if classes == 2 else torch.zeros(1, classes)
    logits[..., -1] = 1e4
    logits.requires_grad_()
    for name in ("ce", "focal"):
        value = losses(classes, [0], logits)[name]
        (slope,) = torch.autograd.grad(value.sum(), logits)
        assert value.item() == pytest.approx(1e4)
        assert slope[..., -1].item() == pytest.approx(1.0)


@properties
@given(logits=st.lists(logit, min_size=3, max_size=6), data=st.data())
def test_properties_of_every_prediction(logits, data):
    classes = len(logits)
    label = data.draw(st.integers(0, classes - 1))
    smoothing = data.draw(st.floats(0, 0.99))
    gamma = data.draw(st.floats(0, 5))
    values = one(classes, label, logits, kl_smoothing=smoothing, focal_gamma=gamma)
    assert 0 <= values["focal"] <= values["ce"] * (1 + ROUNDING)
    assert values["kl"] >= -ROUNDING
    assert 0 <= values["hinge"] <= 2 + ROUNDING
    on_logits = one(classes, label, logits, hinge_on="logit")["hinge"]
    rival = max(z for c, z in enumerate(logits) if c != label)
    assert on_logits == pytest.approx(max(0, 1 - logits[label] + rival), abs=1e-9)


@properties
@given(s=logit, label=st.integers(0, 1), smoothing=st.floats(0, 0.99), gamma=st.floats(0, 5))
def test_properties_of_every_binary_prediction(s, label, smoothing, gamma):
    values = one(2, label, s, kl_smoothing=smoothing, focal_gamma=gamma)
    assert 0 <= values["focal"] <= values["ce"] * (1 + ROUNDING)
    assert values["kl"] >= -ROUNDING
    assert 0 <= values["hinge"] <= 2 + ROUNDING
    mirrored = one(2, 1 - label, -s, kl_smoothing=smoothing, focal_gamma=gamma)
    assert values == mirrored


@properties
@given(logits=st.lists(logit, min_size=3, max_size=6), shift=logit, on=st.booleans())
def test_only_differences_of_logits_count(logits, shift, on):
    options = {"hinge_on": "logit" if on else "probability"}
    shifted = [z + shift for z in logits]
    expected = one(len(logits), 1, logits, **options)
    assert one(len(logits), 1, shifted, **options) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@properties
@given(logits=st.lists(logit, min_size=3, max_size=6), seed=st.integers(0, 99))
def test_the_names_of_the_classes_do_not_matter(logits, seed):
    order = np.random.default_rng(seed).permutation(len(logits)).tolist()
    renamed = one(len(logits), order.index(0), [logits[c] for c in order])
    assert renamed == pytest.approx(one(len(logits), 0, logits), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("classes", [2, 5])
def test_the_constants_reach_their_limits(classes):
    labels, logits = sample(classes)
    limits = losses(classes, labels, logits, LossOptions(focal_gamma=0, kl_smoothing=0))
    torch.testing.assert_close(limits["focal"], limits["ce"], rtol=0, atol=0)
    torch.testing.assert_close(limits["kl"], limits["ce"], rtol=1e-13, atol=0)


@pytest.mark.parametrize("smoothing", [0.1, 0.4])
@pytest.mark.parametrize("classes", [2, 5])
def test_kl_is_zero_and_flat_at_the_smoothed_target_only(classes, smoothing):
    on, off = 1 - smoothing + smoothing / classes, smoothing / classes
    target = torch.full((1, classes), off, dtype=torch.float64)
    target[0, -1] = on
    logits = target.log() if classes > 2 else target[:, 1].log() - target[:, 0].log()
    logits.requires_grad_()
    label, options = torch.tensor([classes - 1]), LossOptions(kl_smoothing=smoothing)
    at_target = losses(classes, label, logits, options)["kl"]
    (slope,) = torch.autograd.grad(at_target.sum(), logits)
    assert abs(at_target.item()) < 1e-14
    assert slope.abs().max() < 1e-14
    assert losses(classes, label, 1.1 * logits, options)["kl"].item() > 1e-4


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.float32])
@pytest.mark.parametrize("classes", [2, 5])
def test_labels_of_any_type_give_the_same_bits(classes, dtype):
    labels, logits = sample(classes)
    expected = losses(classes, labels, logits.float())
    for name, value in losses(classes, labels.to(dtype), logits.float()).items():
        assert value.dtype == torch.float32
        assert torch.equal(value, expected[name])


def test_candidates_come_in_the_order_asked_for():
    labels, logits = sample(5)
    alone = losses(5, labels, logits)
    some = CandidateLosses(Task(5), LossOptions(), ["ce", "focal"])
    assert len(some) == 2
    assert torch.equal(some(labels, logits), torch.stack((alone["ce"], alone["focal"]), -1))
    assert CandidateLosses(Task(), LossOptions()).names == NAMES
    assert set(NAMES) <= set(LOSSES)  # there may be a reader's own


def test_an_unknown_candidate_is_named_with_its_nearest():
    with pytest.raises(ConfigError, match=r"'focall'.*\n.*did you mean 'focal'"):
        CandidateLosses(Task(), LossOptions(), ["focall"])
    with pytest.raises(ConfigError, match=r"losses\.candidates"):
        CandidateLosses(Task(), LossOptions(candidates=("ce", "mse")))


@pytest.mark.parametrize("classes", [2, 5])
def test_normalised_candidates_are_1_where_nothing_is_known_and_else_only_scaled(classes):
    options = LossOptions(normalise="chance")
    known_nothing = torch.zeros(3) if classes == 2 else torch.zeros(3, classes)
    values = losses(classes, torch.tensor([0, 1, 1]), known_nothing, options)
    for value in values.values():
        torch.testing.assert_close(value, torch.ones(3))
    labels, logits = sample(classes)
    plain, scaled = losses(classes, labels, logits), losses(classes, labels, logits, options)
    units = {"ce": math.log(classes), "focal": (1 - 1 / classes) ** 2 * math.log(classes)}
    for name, unit in units.items():
        torch.testing.assert_close(scaled[name] * unit, plain[name], rtol=1e-6, atol=0)
    for name in NAMES:
        ratio = plain[name] / scaled[name]
        torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))


@pytest.mark.parametrize("on", ["probability", "logit"])
@pytest.mark.parametrize("classes", [2, 5])
def test_in_single_precision_values_and_derivatives_are_those_in_double(classes, on):
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, classes, (3000,), generator=generator)
    shape = (3000,) if classes == 2 else (3000, classes)
    logits = 6 * torch.randn(shape, generator=generator)
    mixture = torch.randn(3000, 4, generator=generator)
    losses = CandidateLosses(Task(classes=classes), LossOptions(hinge_on=on))
    found = []
    for one in (logits.requires_grad_(), logits.detach().double().requires_grad_()):
        values, pull = losses(labels, one), mixture.to(one)
        (plain,) = torch.autograd.grad(values, one, pull, retain_graph=True)
        (first,) = torch.autograd.grad(values, one, pull, create_graph=True)
        (second,) = torch.autograd.grad((first**2).sum(), one)
        found.append([x.double() for x in (values, plain, first, second)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("classes", [2, 5])
def test_losses_of_what_is_no_number_are_none_and_the_others_stay(classes):
    logits = torch.zeros(3) if classes == 2 else torch.zeros(3, classes)
    logits[1] = float("nan")
    losses = CandidateLosses(Task(classes=classes), LossOptions())
    values = losses(torch.tensor([0, 1, 1]), logits)
    assert values[1].isnan().all()
    assert not values[[0, 2]].isnan().any()


def test_a_label_that_is_no_class_is_an_error():
    losses = CandidateLosses(Task(classes=5), LossOptions())
    with pytest.raises(IndexError, match="0 to 4"):
        losses(torch.tensor([1, 5]), torch.zeros(2, 5))


def test_only_candidates_and_cross_entropy_are_taken_of_them():
    candidates = CandidateLosses(Task(), LossOptions(candidates=("kl",)))
    assert candidates.only("kl", "ce").names == ("kl", "ce")
    with pytest.raises(ConfigError, match="no candidate 'focal'"):
        candidates.only("focal")
