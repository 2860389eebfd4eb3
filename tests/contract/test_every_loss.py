"""What every candidate loss promises; a new file in `autoloss/losses/` is tested with no edit."""

from __future__ import annotations

import math

import pytest
import torch

from autoloss.candidates import CandidateLosses, formula
from autoloss.config import LossOptions, overlay
from autoloss.folder import entries
from autoloss.losses import LOSSES
from autoloss.methods.load import load
from autoloss.task import Task
from autoloss.training.loop import Trainer
from tests.tiny import TASKS, tiny_config

every_loss = pytest.mark.parametrize("name", LOSSES)
both_tasks = pytest.mark.parametrize("classes", TASKS.values(), ids=TASKS)


def values(name, labels, logits, **options):
    """Of one loss by itself, `[B]`."""
    losses = CandidateLosses(Task(5 if logits.dim() == 2 else 2), LossOptions(**options), [name])
    return losses(labels, logits).squeeze(-1)


def examples(classes, dtype=torch.float64, n=12):
    """Labels, and logits that are neither all right nor all wrong."""
    generator = torch.Generator().manual_seed(classes)
    shape = (n,) if classes == 2 else (n, classes)
    logits = 2 * torch.randn(shape, generator=generator, dtype=torch.float64)
    return torch.arange(n) % classes, logits.to(dtype)


@every_loss
@both_tasks
def test_one_value_for_each_example_whatever_the_others_are(name, classes):
    labels, logits = examples(classes)
    together = values(name, labels, logits)
    assert together.shape == labels.shape
    for k in range(len(labels)):
        one = values(name, labels[k : k + 1], logits[k : k + 1])
        torch.testing.assert_close(one, together[k : k + 1])


@every_loss
@both_tasks
def test_being_right_costs_less_than_being_wrong(name, classes):
    logits = torch.zeros(classes) if classes == 2 else torch.zeros(classes, classes)
    labels = torch.arange(classes)
    sure = 3 * (2.0 * labels - 1) if classes == 2 else logits + 3 * torch.eye(classes)
    wrong = -sure if classes == 2 else sure.roll(1, 0)
    assert (values(name, labels, sure) < values(name, labels, logits)).all()
    assert (values(name, labels, logits) < values(name, labels, wrong)).all()


@every_loss
@both_tasks
def test_it_has_two_right_derivatives(name, classes):
    """The look-ahead of an outer step differentiates the gradient again."""
    labels, logits = examples(classes, n=6)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: values(name, labels, z), logits)
    assert torch.autograd.gradgradcheck(lambda z: values(name, labels, z), logits)


@every_loss
@both_tasks
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_of_any_finite_logits_value_and_derivatives_are_finite(name, classes, dtype):
    extremes = torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4], dtype=dtype)
    if classes > 2:
        extremes = torch.cartesian_prod(*[extremes[::2]] * classes)
    labels = torch.arange(classes).repeat_interleave(len(extremes))
    logits = extremes.repeat(classes, *[1] * (extremes.dim() - 1)).requires_grad_()
    value = values(name, labels, logits)
    (first,) = torch.autograd.grad(value.sum(), logits, create_graph=True)
    assert value.isfinite().all()
    assert first.isfinite().all()
    if first.requires_grad:
        (second,) = torch.autograd.grad(first.square().sum(), logits)
        assert second.isfinite().all()


@every_loss
@both_tasks
def test_each_of_its_options_changes_it(name, classes):
    labels, logits = examples(classes)
    usual = values(name, labels, logits)
    for key, option in entries("losses")[name].options.items():
        kind, *ends = option.tune or ("choice", *(option.choices or ()))
        others = [end for end in ends if end != option.default]
        assert others, f"say in `tune` or `choices` what {key} can be"
        for other in others if kind == "choice" else others[-1:]:
            assert not torch.equal(values(name, labels, logits, **{key: other}), usual), key


@every_loss
@pytest.mark.parametrize("task", TASKS)
def test_it_trains_as_a_candidate_of_autoloss(name, task, tiny):
    candidates = list(dict.fromkeys(["ce", name]))
    over = {"losses": {"candidates": candidates}, "methods": {"autoloss": {"every": 2}}}
    run = Trainer(overlay(tiny_config(), over, "test"), tiny[task], "deepfm", load("autoloss"), 0)
    run.run_epoch()
    assert run.progress.outer_steps == 2
    assert math.isfinite(run.progress.curves[0]["train_loss"])


@every_loss
def test_says_what_it_is(name):
    info = entries("losses")[name]
    assert info.label.strip()
    assert info.paper.strip()
    assert (formula(name).__doc__ or "").strip()
