"""Batches: every example once an epoch, in an order of the seed alone."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from autoloss.data.load.batches import Batches


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
