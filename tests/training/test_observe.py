"""What is counted and looked at beside training: passes, choices, reliability. All by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from autoloss.methods.load import load
from autoloss.task import Task
from autoloss.training import observe
from autoloss.training.loop import Trainer
from autoloss.training.observe import BINS, choice, probabilities, reliability
from autoloss.training.passes import Passes
from tests.tiny import tiny_config


def test_passes_count_examples_forward_backward_and_along_a_gradient():
    model = nn.Linear(3, 1)
    passes = Passes(model)
    with torch.no_grad():
        model(torch.ones(7, 3))
    assert passes.take() == (7, 0)
    model(torch.ones(5, 3)).sum().backward()
    assert passes.take() == (5, 5)
    loss = model(torch.ones(4, 3)).square().sum()
    (slope,) = torch.autograd.grad(loss, model.weight, create_graph=True)
    torch.autograd.grad(slope.sum(), model.weight)
    forward, backward = passes.take()
    assert (forward, backward) == (4, 12)  # back; along the gradient; back again through its logits


@pytest.mark.parametrize("look_ahead", ["gradient", "optimizer"])
@pytest.mark.parametrize("name", ["autoloss", "darts"])
@pytest.mark.parametrize(("updates", "anew"), [("simultaneous", 0), ("alternating", 64)])
def test_an_outer_step_costs_its_validation_and_tangent_pass_and_a_look_ahead_of_its_own(
    tiny, name, updates, anew, look_ahead
):
    run = Trainer(tiny_config(), tiny["binary"], "deepfm", load(name), 0)
    run.method.options |= {"updates": updates, "look_ahead": look_ahead, "every": 2}
    for _ in range(2):
        run.inner_step()
        assert run.passes.take() == (64, 64)
    run.inner_step()
    validation = len(run.validation.batch(0).labels)
    assert run.passes.take() == (64 + validation, 64 + anew + validation + 64)
    run.inner_step()
    assert run.passes.take() == (64, 64)


def test_autoloss_makes_the_passes_of_darts_and_melu(tiny):
    """As often an outer step, and that of the same cost."""
    counted = set()
    for name in ("autoloss", "darts", "melu"):
        run = Trainer(tiny_config(), tiny["binary"], "deepfm", load(name), 0)
        for _ in range(15):
            run.inner_step()
        counted.add((run.progress.outer_steps, *run.passes.take()))
    assert len(counted) == 1
    assert counted.pop()[0] == 2  # before steps 7 and 14


def test_reliability_of_two_classes_by_hand():
    logits = np.log(np.array([0.12, 0.13, 0.97]) / (1 - np.array([0.12, 0.13, 0.97])))
    found = reliability(Task(2), np.array([0, 1, 1]), logits)
    assert sum(found.counts) == 3
    assert found.counts[2] == 2
    assert found.predicted[2] == pytest.approx(0.125)
    assert found.observed[2] == 0.5
    assert found.observed[19] == 1
    assert found.observed[0] is None


def test_reliability_of_five_classes_counts_every_probability():
    logits = np.random.default_rng(0).normal(size=(50, 5))
    labels = np.arange(50) % 5
    found = reliability(Task(5), labels, logits)
    assert sum(found.counts) == 250
    total = sum(n * p for n, p in zip(found.counts, found.predicted, strict=True) if n)
    assert total == pytest.approx(50)
    assert probabilities(Task(5), logits).sum(axis=1) == pytest.approx(np.ones(50))


@pytest.mark.parametrize("classes", [2, 5])
def test_a_choice_adds_up_and_looking_changes_nothing(classes):
    method = load("autoloss")(Task(classes), seed=1)
    method.train()
    random = np.random.default_rng(1)
    labels = random.integers(classes, size=200)
    logits = random.normal(size=200 if classes == 2 else (200, classes))
    state = torch.get_rng_state()
    found = choice(method, labels, logits, 3)
    assert torch.equal(torch.get_rng_state(), state)
    assert method.training
    assert found == choice(method, labels, logits, 3)
    counts = np.array(found.counts)
    assert counts.shape == (classes, BINS)
    assert counts.sum(axis=1).tolist() == np.bincount(labels, minlength=classes).tolist()
    for shares in (found.weights, found.selection):
        np.testing.assert_allclose(np.array(shares).sum(axis=2)[counts > 0], 1, atol=1e-5)


def test_millions_are_weighed_a_part_at_a_time(monkeypatch):
    method = load("autoloss")(Task(2), seed=1)
    weigh, seen = method.weights, []

    def watched(examples, draw):
        seen.append(len(examples.labels))
        return weigh(examples, draw)

    monkeypatch.setattr(method, "weights", watched)
    monkeypatch.setattr(observe, "EACH", 64)
    labels, logits = torch.arange(200) % 2, torch.linspace(-3, 3, 200)
    found = observe.observed(method, None, labels, logits, 3)
    assert seen == [64, 64, 64, 8]
    method.eval()
    part = method.examples(None, labels[64:128], logits[64:128])
    assert torch.equal(found[64:128], weigh(part, method.draw(3, "observed")))


def test_global_weights_have_no_choice():
    assert choice(load("ce")(Task(2)), np.array([0, 1]), np.zeros(2), 0) is None
    assert choice(load("darts")(Task(2)), np.array([0, 1]), np.zeros(2), 0) is None
