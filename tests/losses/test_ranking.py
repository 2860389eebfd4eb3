"""The pairwise ranking loss: each example's share of its pairs, against plain loops."""

from __future__ import annotations

import math

import pytest
import torch

from autoloss.candidates import CandidateLosses
from autoloss.config import LossOptions
from autoloss.errors import ConfigError
from autoloss.losses import ranking
from autoloss.task import Task

LABELS = torch.tensor([1, 0, 0, 1, 0])
LOGITS = torch.tensor([0.3, -1.2, 2.0, 1.1, 0.3], dtype=torch.float64)


def values(labels, logits, **options):
    losses = CandidateLosses(Task(2), LossOptions(**options), ["ranking"])
    return losses(labels, logits).squeeze(-1)


def by_loops(labels, logits):
    """Half of each pair's cost to either, times B over the number of pairs."""
    places = range(len(labels))
    pairs = [(i, j) for i in places for j in places if labels[i] == 1 and labels[j] == 0]
    shares = [logits.new_zeros(()) for _ in places]
    for i, j in pairs:
        cost = torch.log(1 + torch.exp(logits[j] - logits[i]))
        for k in (i, j):
            shares[k] = shares[k] + cost / 2 * len(labels) / len(pairs)
    return torch.stack(shares)


def test_shares_are_those_of_plain_loops_with_both_derivatives():
    weights = torch.tensor([0.5, 2.0, 1.0, 0.1, 3.0], dtype=torch.float64)
    found = []
    for of in (values, by_loops):
        logits = LOGITS.clone().requires_grad_()
        value = of(LABELS, logits)
        (first,) = torch.autograd.grad((weights * value).sum(), logits, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), logits)
        found.append((value.detach(), first.detach(), second))
    torch.testing.assert_close(*found)


def test_the_batchs_mean_is_the_mean_over_pairs_whatever_the_share_of_positives():
    logits = torch.tensor([1.0, 0.0, 0.0, 0.0])
    labels = torch.tensor([1, 0, 0, 0])
    assert values(labels, logits).mean() == pytest.approx(math.log(1 + math.exp(-1)))
    assert values(labels, logits)[0] == pytest.approx(2 * math.log(1 + math.exp(-1)))


@pytest.mark.parametrize("label", [0, 1])
def test_without_a_pair_it_is_that_of_a_model_that_ranks_nothing_and_moves_nothing(label):
    logits = LOGITS.clone().requires_grad_()
    value = values(torch.full((5,), label), logits)
    torch.testing.assert_close(value.detach(), torch.full((5,), math.log(2), dtype=torch.float64))
    assert not torch.autograd.grad(value.sum(), logits)[0].any()


def test_divided_by_its_value_by_chance_it_is_in_units_of_log_2():
    by_chance = values(LABELS, LOGITS, candidates=("ranking",), normalise="chance")
    torch.testing.assert_close(by_chance, values(LABELS, LOGITS) / math.log(2))


def test_of_a_stack_each_run_has_pairs_of_its_own():
    """One without any, too; with both derivatives."""
    labels = torch.stack((LABELS, torch.ones(5, dtype=torch.int64), 1 - LABELS))
    found = []
    for of in (
        values,
        lambda *runs: torch.stack([values(*run) for run in zip(*runs, strict=True)]),
    ):
        logits = torch.stack((LOGITS, LOGITS, 2 * LOGITS)).requires_grad_()
        value = of(labels, logits)
        (first,) = torch.autograd.grad(value.square().sum(), logits, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), logits)
        found.append((value.detach(), first.detach(), second))
    torch.testing.assert_close(*found)


def test_more_than_a_block_is_ranked_block_by_block(monkeypatch):
    monkeypatch.setattr(ranking, "BLOCK", 3)
    parts = [by_loops(LABELS[part], LOGITS[part]) for part in (slice(0, 3), slice(3, 5))]
    torch.testing.assert_close(values(LABELS, LOGITS), torch.cat(parts))


def test_more_classes_are_refused():
    losses = CandidateLosses(Task(3), LossOptions(), ["ranking"])
    with pytest.raises(ConfigError, match=r"two classes, and the task has 3(.|\n)*leave it out"):
        losses(torch.tensor([0, 1]), torch.zeros(2, 3))
