"""What every candidate loss promises; a new file in `autoloss/losses/` is tested with no edit."""

from __future__ import annotations

import math

import pytest
import torch

from autoloss.candidates import CandidateLosses, formula
from autoloss.config import LossOptions, overlay
from autoloss.errors import ConfigError
from autoloss.folder import entries
from autoloss.losses import LOSSES
from autoloss.methods.load import load
from autoloss.task import Task
from autoloss.training.loop import Trainer
from tests.tiny import TASKS, tiny_config

INFOS = entries("losses")
every_loss = pytest.mark.parametrize("name", LOSSES)
# Of each loss the tasks that it is for: one of pairs within the batch has two classes.
PAIRS = [(n, c) for n in LOSSES for c in TASKS.values() if c == 2 or not INFOS[n].in_batch]
each_task = pytest.mark.parametrize(
    ("name", "classes"), PAIRS, ids=[f"{c}-{name}" for name, c in PAIRS]
)


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


@each_task
def test_one_value_for_each_example_whatever_the_others_are(name, classes):
    """Of a loss of pairs, in whatever order these are."""
    labels, logits = examples(classes)
    together = values(name, labels, logits)
    assert together.shape == labels.shape
    if INFOS[name].in_batch:
        order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(values(name, labels[order], logits[order]), together[order])
        return
    for k in range(len(labels)):
        one = values(name, labels[k : k + 1], logits[k : k + 1])
        torch.testing.assert_close(one, together[k : k + 1])


@each_task
def test_being_right_costs_less_than_being_wrong(name, classes):
    """But of a control, which is wrong on purpose."""
    logits = torch.zeros(classes) if classes == 2 else torch.zeros(classes, classes)
    labels = torch.arange(classes)
    sure = 3 * (2.0 * labels - 1) if classes == 2 else logits + 3 * torch.eye(classes)
    wrong = -sure if classes == 2 else sure.roll(1, 0)
    if INFOS[name].control:
        sure, wrong = wrong, sure
    assert (values(name, labels, sure) < values(name, labels, logits)).all()
    assert (values(name, labels, logits) < values(name, labels, wrong)).all()


@each_task
def test_it_has_two_right_derivatives(name, classes):
    """The look-ahead of an outer step differentiates the gradient again."""
    labels, logits = examples(classes, n=6)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: values(name, labels, z), logits)
    assert torch.autograd.gradgradcheck(lambda z: values(name, labels, z), logits)


@each_task
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


@each_task
def test_each_of_its_options_changes_it(name, classes):
    labels, logits = examples(classes)
    usual = values(name, labels, logits)
    for key, option in INFOS[name].options.items():
        kind, *ends = option.tune or ("choice", *(option.choices or ()))
        others = [end for end in ends if end != option.default]
        assert others, f"say in `tune` or `choices` what {key} can be"
        for other in others if kind == "choice" else others[-1:]:
            assert not torch.equal(values(name, labels, logits, **{key: other}), usual), key


@every_loss
@pytest.mark.parametrize("task", TASKS)
def test_it_trains_as_a_candidate_of_autoloss(name, task, tiny):
    """A loss of pairs refuses what it is not for, in the first step."""
    candidates = list(dict.fromkeys(["ce", name]))
    over = {"losses": {"candidates": candidates}, "methods": {"autoloss": {"every": 2}}}
    run = Trainer(overlay(tiny_config(), over, "test"), tiny[task], "deepfm", load("autoloss"), 0)
    if INFOS[name].in_batch and TASKS[task] > 2:
        with pytest.raises(ConfigError, match="two classes"):
            run.run_epoch()
        return
    run.run_epoch()
    assert run.progress.outer_steps == 2
    assert math.isfinite(run.progress.curves[0]["train_loss"])


@every_loss
def test_says_what_it_is(name):
    info = INFOS[name]
    assert info.label.strip()
    assert info.paper.strip()
    assert (formula(name).__doc__ or "").strip()
