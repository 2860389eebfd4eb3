"""Metrics of a stack, where its logits lie: scikit-learn's, and what one run's are on the host."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.metrics import log_loss, roc_auc_score

from autoloss.methods.load import load
from autoloss.task import Task
from autoloss.training import on_device
from autoloss.training.observe import choice, choice_of

BINARY, RATING = Task(2), Task(5)


def drawn(task, rows=3000):
    """Labels, and logits that know something of them."""
    random = np.random.default_rng(task.classes)
    labels = random.integers(0, task.classes, rows)
    if task.binary:
        return labels, random.normal(size=rows) + labels
    return labels, random.normal(size=(rows, 5)) + np.eye(5)[labels]


@pytest.mark.parametrize("levels", [1, 2, 7, 3000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_auc_is_sklearns_with_ties(levels, dtype):
    labels, logits = drawn(BINARY)
    tied = np.floor(expit(logits) * levels) / levels
    scores = torch.tensor(tied, dtype=dtype)
    found = on_device.auc(BINARY, torch.tensor(labels), scores)
    assert float(found) == pytest.approx(roc_auc_score(labels, scores.numpy()), abs=1e-15)


def test_auc_of_classes_is_sklearns():
    labels, logits = drawn(RATING)
    expected = roc_auc_score(labels, softmax(logits, axis=1), multi_class="ovr")
    found = on_device.auc(RATING, torch.tensor(labels), torch.tensor(logits))
    assert float(found) == pytest.approx(expected, abs=1e-14)


@pytest.mark.parametrize("task", [BINARY, RATING])
def test_log_loss_is_sklearns(task):
    labels, logits = drawn(task)
    chances = expit(logits) if task.binary else softmax(logits, axis=1)
    found = on_device.logloss(task, torch.tensor(labels), torch.tensor(logits))
    assert float(found) == pytest.approx(log_loss(labels, chances), rel=1e-12)


def test_log_loss_of_certain_logits_is_finite():
    labels, logits = torch.tensor([0, 1]), torch.tensor([800.0, -800.0])
    assert float(on_device.logloss(BINARY, labels, logits)) == 800


@pytest.mark.parametrize("task", [BINARY, RATING])
def test_choices_are_those_of_one_run_on_the_host(task):
    labels, logits = drawn(task)
    method = load("autoloss")(task, options={"hidden": [8]}, seed=3)
    expected = choice(method, labels, logits.astype(np.float32).astype(float), 17)
    given = torch.tensor(labels), torch.tensor(logits, dtype=torch.float32)
    found = choice_of(task, on_device.choice_sums(method, torch.empty(0), *given, 17).numpy())
    assert found.counts == expected.counts
    for name in ("weights", "selection"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), atol=2e-6)


def test_of_methods_that_weigh_no_examples_there_are_none():
    method = load("ce")(BINARY)
    given = torch.zeros(3, dtype=torch.int64), torch.zeros(3)
    assert on_device.choice_sums(method, torch.empty(0), *given, 1) is None
