"""Methods with other candidates than the paper's four: none names a number of them."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoloss.candidates import CandidateLosses
from autoloss.config import LossOptions, overlay
from autoloss.errors import ConfigError
from autoloss.losses import LOSSES
from autoloss.methods.discover import discover
from autoloss.methods.load import load
from autoloss.seeds import Draw
from autoloss.task import Task
from autoloss.training.loop import Trainer
from tests.losses.more import SETS, with_more
from tests.tiny import tiny_config


@given(SETS, st.sampled_from(list(discover())), st.sampled_from([2, 5]))
@settings(max_examples=40, deadline=None)
def test_any_candidates_are_weighed_one_by_one_or_refused(names, name, classes):
    options, task = LossOptions(candidates=tuple(names)), Task(classes)
    with with_more():
        if set(getattr(load(name), "constant", ())) - set(names):
            with pytest.raises(ConfigError, match=r"losses\.candidates"):
                load(name)(task, options)
            return
        method = load(name)(task, options, fields={"f0": 3})
        labels = torch.tensor([0, 1, 1])
        logits = torch.randn(3) if task.binary else torch.randn(3, classes)
        examples = method.examples(labels[:, None], labels, logits)
        weights = method.weights(examples, Draw(0, 1))
        assert weights.shape[-1] == len(names)
        if discover()[name].info.simplex:
            torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
            if len(names) == 1:
                only = method.candidates(labels, logits).mean()
                torch.testing.assert_close(method.weigh(examples, 0)[0], only)


@given(SETS, st.sampled_from(list(discover())), st.sampled_from(["binary", "rating"]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_candidates_train_a_step_under_every_method_that_fits(tiny, names, name, task):
    if set(discover()[name].needs) - set(names):
        return
    config = overlay(tiny_config(), {"losses": {"candidates": names}}, "test")
    with with_more():
        run = Trainer(config, tiny[task], "deepfm", load(name), 0)
        _, weights = run.inner_step()
    assert weights.shape[-1] == len(names)
    if discover()[name].info.simplex:
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


@pytest.mark.parametrize("n", [1, 3, 5, 6])
def test_al1_weighs_all_candidates_alike(n):
    with with_more():
        names = tuple(LOSSES)[:n]
        method = load("al1")(Task(), LossOptions(candidates=names))
        nobody = method.examples(None, torch.empty(0), torch.empty(0))
        weights = method.weights(nobody, Draw(0, 1))
    torch.testing.assert_close(weights, torch.full((n,), 1 / n))


@pytest.mark.parametrize("classes", [2, 5])
def test_a_loss_of_somebodys_own_leaves_the_others_to_the_kernel(classes):
    task, names = Task(classes), ("brier", "ce", "absolute", "focal")
    labels = torch.arange(30) % classes
    logits = torch.randn(30) if task.binary else torch.randn(30, classes)
    with with_more():
        mixed = CandidateLosses(task, LossOptions(candidates=names))
        values = mixed(labels, logits.requires_grad_())
        assert type(values.grad_fn).__name__ == "StackBackward0"
        assert mixed._known[0] == ["ce", "focal"]
        alone = CandidateLosses(task, LossOptions(candidates=("ce", "focal")))(labels, logits)
        assert torch.equal(values[:, [1, 3]], alone)
        torch.testing.assert_close(values, mixed.by_torch(labels, logits))
        slopes = [
            torch.autograd.grad((x**2).sum(), logits)[0]
            for x in (values, mixed.by_torch(labels, logits))
        ]
    torch.testing.assert_close(*slopes, rtol=1e-4, atol=1e-5)
