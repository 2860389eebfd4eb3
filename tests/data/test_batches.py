"""Batches: every example once an epoch, in an order of the seed alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoloss.data.load.batches import Batch, Batches
from autoloss.data.load.gathered import Gathered
from autoloss.data.load.together import Ahead, Together
from autoloss.ops.random import permutation, permuted


def batches(n, size, seed=0, name="train"):
    return Batches(np.arange(2 * n).reshape(n, 2), np.arange(n), size, seed=seed, name=name)


@given(st.integers(2, 60), st.integers(2, 20), st.integers(0, 5))
def test_an_epoch_holds_every_example_once_but_a_lone_last_one(n, size, epoch):
    data = batches(n, size)
    parts = [data.batch(epoch * data.count + k) for k in range(data.count)]
    labels = torch.cat([part.labels for part in parts])
    assert len(labels.unique()) == len(labels) == data.examples
    assert n - data.examples == (1 if n % size == 1 else 0)
    assert all(len(part.labels) > 1 for part in parts)
    for part in parts:
        assert torch.equal(part.ids[:, 0], 2 * part.labels)


def test_the_order_depends_on_seed_split_and_epoch_only():
    data = batches(50, 10)
    assert torch.equal(data.batch(7).labels, batches(50, 10).batch(7).labels)
    for other in (batches(50, 10, seed=1), batches(50, 10, name="validation")):
        assert not torch.equal(data.batch(0).labels, other.batch(0).labels)
    assert not torch.equal(data.batch(0).labels, data.batch(5).labels)


@given(st.lists(st.integers(0, 19), max_size=8), st.integers(0, 19))
def test_the_order_is_the_same_whatever_was_read_before(read, k):
    data = batches(50, 10)
    for before in read:
        data.batch(before)
    torch.rand(3)
    assert torch.equal(data.batch(k).labels, batches(50, 10).batch(k).labels)


def test_evaluation_reads_all_in_stored_order():
    labels = torch.cat([part.labels for part in batches(21, 10).in_order()])
    assert torch.equal(labels, torch.arange(21))


def runs_of_a_stack(n):
    """Three, of which two share a split."""
    random = np.random.default_rng(0)
    splits = [
        (random.integers(0, 9, (n, 3), np.int32), random.integers(0, 2, n, np.int32))
        for _ in range(2)
    ]
    return [Batches(*splits[k], 6, seed=seed, name="train") for k, seed in ((0, 5), (1, 6), (0, 7))]


def require_side_by_side(found, each):
    for one, right in zip(found, zip(*each, strict=True), strict=True):
        assert one.dtype is torch.int64
        assert torch.equal(one, torch.stack(right))


@pytest.mark.parametrize("n", [42, 43, 46])  # a last batch of 0, of 1 (dropped), of 4
@pytest.mark.parametrize("kind", [Together, Ahead, Gathered])
def test_batches_of_a_stack_are_each_runs_own(kind, n):
    runs = runs_of_a_stack(n)
    source, count = kind(runs_of_a_stack(n), torch.device("cpu")), runs[0].count
    for k in (*range(2 * count + 1), 3, 3, 0, 5 * count - 1):  # on, and here and there
        require_side_by_side(source.batch(k), [run.batch(k) for run in runs])
    for rows in (slice(0, 5), slice(40, n)):
        parts = [Batch(run.ids[rows].long(), run.labels[rows].long()) for run in runs]
        require_side_by_side(source.part(rows), parts)


def test_a_batch_stays_as_it_is_while_the_next_ones_are_made():
    ahead, runs = Ahead(runs_of_a_stack(60), torch.device("cpu")), runs_of_a_stack(60)
    found = [ahead.batch(k) for k in range(7)]
    for k, batch in enumerate(found):
        require_side_by_side(batch, [run.batch(k) for run in runs])


def test_what_runs_share_lies_on_a_device_once():
    assert len(Gathered(runs_of_a_stack(42), torch.device("cpu"))._labels) == 2 * 42


@given(st.integers(-(2**63), 2**63 - 1), st.integers(0, 200))
def test_an_order_made_by_torch_is_the_same(seed, n):
    assert permuted(seed, n, torch.device("cpu")).tolist() == permutation(seed, n).tolist()
