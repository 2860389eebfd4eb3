"""Deferred Adam against torch's dense one in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from autoloss.errors import ConfigError
from autoloss.layers.embedding import FieldEmbedding
from autoloss.methods.load import load
from autoloss.training.device import large_zeros
from autoloss.training.loop import Trainer
from tests.tiny import tiny_config
from tests.training.deferred_tables import tables, train


@torch.no_grad()
def movement_error(ours, dense, start):
    """Norm of the difference over the norm of the movement."""
    apart = sum((a.weight - b.weight).norm() ** 2 for a, b in zip(ours, dense, strict=True))
    moved = sum((b.weight - c.weight).norm() ** 2 for b, c in zip(dense, start, strict=True))
    return float((apart / moved).sqrt())


SIZES_OF_STEPS = st.lists(st.integers(1, 4), min_size=1, max_size=60)
STEPS = st.sampled_from([1e-3, 1e-2]).flatmap(
    lambda lr: SIZES_OF_STEPS.map(lambda sizes: [(size, lr) for size in sizes])
)


@settings(max_examples=40, deadline=None)
@given(STEPS, st.sampled_from([1.0, 1e-2, 1e-4]), st.integers(0, 99), st.sampled_from([0.0, 0.1]))
def test_moves_as_dense_adam_does(steps, scale, seed, weight_decay):
    start = tables(seed)
    ours, dense = train(copy.deepcopy(start), steps, scale, seed=seed, weight_decay=weight_decay)
    assert movement_error(ours, dense, start) < 1e-3


@settings(max_examples=40, deadline=None)
@given(STEPS, st.sampled_from([1.0, 1e-2]), st.integers(0, 99), st.sampled_from([0.0, 0.1]))
def test_so_it_does_in_single_precision_by_kernels(steps, scale, seed, weight_decay):
    start, options = tables(seed, (17, 3)), {"weight_decay": weight_decay, "dtype": torch.float32}
    ours, dense = train(copy.deepcopy(start), steps, scale, seed=seed, **options)
    assert movement_error(ours, dense, start) < 1e-3


@pytest.mark.parametrize(
    ("scale", "bound"), [(1.0, 1e-6), (1e-2, 1e-4), (1e-4, 1e-3), (1e-6, 1e-3)]
)
def test_the_error_is_that_of_epsilon(scale, bound):
    start = tables(0)
    ours, dense = train(copy.deepcopy(start), [(1, 1e-3)] * 400, scale, seed=0)
    assert movement_error(ours, dense, start) < bound


def test_without_epsilon_it_is_exact():
    start = tables(0)
    ours, dense = train(copy.deepcopy(start), [(1, 1e-3)] * 400, 1e-6, seed=0, eps=1e-30)
    assert movement_error(ours, dense, start) < 1e-12


@pytest.mark.parametrize(
    ("batch", "training", "deferred"),
    [
        (2, {}, True),  # 25 rows, 6 look-ups a step
        (3, {}, False),
        (64, {"table_updates": "deferred"}, True),
        (2, {"table_updates": "dense"}, False),
        (2, {"weight_decay": 0.1}, False),
        (2, {"weight_decay": 0.1, "decoupled_weight_decay": True}, True),
    ],
)
def test_tables_are_deferred_where_that_is_faster_and_the_same(tiny, batch, training, deferred):
    config = tiny_config(batch_size=batch, **training)
    run = Trainer(config, tiny["binary"], "deepfm", load("ce"), 0)
    run.inner_step()
    behind = [p for p in run.model.parameters() if p.grad is None]
    assert len(behind) == (2 if deferred else 0)


def test_l2_cannot_be_deferred(tiny):
    config = tiny_config(table_updates="deferred", weight_decay=0.1)
    with pytest.raises(ConfigError, match="decoupled_weight_decay: true"):
        Trainer(config, tiny["binary"], "deepfm", load("ce"), 0)


def test_who_looks_rows_up_without_opening_them_finds_them_up_to_date(tiny):
    """A method may run the model itself before a step; nothing is trained otherwise for it."""
    deferred, watched, dense = (
        Trainer(
            tiny_config(table_updates=updates, batch_size=8),
            tiny["binary"],
            "deepfm",
            load("ce"),
            0,
        )
        for updates in ("deferred", "deferred", "dense")
    )
    for t in range(4):
        ids = watched.validation.batch(t).ids
        for run in (deferred, watched, dense):
            run.inner_step()
        for table in ("embedding", "linear"):
            ours, reference = (getattr(run.model, table) for run in (watched, dense))
            torch.testing.assert_close(ours(ids), reference(ids), rtol=0, atol=1e-5)
    for run in (deferred, watched):
        run.optimizer.settle()
    assert deferred.weights_digest() == watched.weights_digest()


@pytest.mark.parametrize("updates", ["deferred", "dense"])
def test_an_outer_step_shares_the_inner_steps_pass(tiny, updates):
    """The model runs once on the training and once on the validation batch."""
    config = tiny_config(table_updates=updates)
    plain, learned = (
        Trainer(config, tiny["binary"], "deepfm", load(name), 0) for name in ("al1", "darts")
    )  # equal weights at first, of either
    calls = []
    learned.model.mlp.register_forward_hook(lambda *_: calls.append(1))
    for run in (plain, learned):
        run.progress.steps = 7
        run.inner_step()
        run.optimizer.settle()
    assert len(calls) == 2  # training and validation batch
    ours, reference = (run.model.state_dict() for run in (learned, plain))
    for key, value in reference.items():
        if "running" in key or "tracked" in key:
            torch.testing.assert_close(ours[key], value)


@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.lists(st.integers(0, 12), min_size=1, max_size=3),
    st.integers(0, 99),
)
def test_the_rows_that_batches_read_are_found_once_each(sizes, batches, seed):
    table, random = FieldEmbedding(sizes, 2), torch.Generator().manual_seed(seed)
    for _ in range(2):  # nothing is left of the first time
        ids = [
            torch.stack([torch.randint(0, s, (n,), generator=random) for s in sizes], dim=1)
            for n in batches
        ]
        rows, places = table.distinct(ids)
        assert torch.equal(
            rows.sort().values, torch.cat([x + table.bounds[:-1] for x in ids]).unique()
        )
        for own, place in zip(ids, places, strict=True):
            assert torch.equal(rows[place], own + table.bounds[:-1])
        fields = torch.searchsorted(table.bounds[:-1], rows, right=True)
        assert torch.equal(fields, fields.sort().values)


def test_rows_are_found_by_batches_large_and_small():
    """A field's number has 16 bits, 32 where more than 65,535 look-ups may need them."""
    table, random = FieldEmbedding([90_000, 3], 1), torch.Generator().manual_seed(0)
    for n in (10, 65_535, 65_536, 10):
        ids = torch.stack([torch.randint(s, (n,), generator=random) for s in (90_000, 3)], dim=1)
        rows, (places,) = table.distinct([ids])
        assert len(rows) == len((ids + table.bounds[:-1]).unique())
        assert torch.equal(rows[places], ids + table.bounds[:-1])


@pytest.mark.parametrize("wrong", [-1, 3])
def test_an_id_outside_its_field_is_an_error_and_harms_nothing(wrong):
    table = FieldEmbedding([3, 4], 2)
    with pytest.raises(IndexError, match="size of its field"):
        table.distinct([torch.tensor([[0, 1], [wrong, 2]])])
    rows, _ = table.distinct([torch.tensor([[0, 1], [2, 2]])])
    assert rows.tolist() == [0, 2, 4, 5]


# Nothing, less than a page, and several.
@pytest.mark.parametrize("shape", [(0, 3), (1, 1), (70_000, 40)])
def test_large_zeros_are_zeros_of_ones_own(shape):
    first, second = (large_zeros(shape, torch.float32, torch.device("cpu")) for _ in range(2))
    assert torch.equal(first, torch.zeros(shape))
    first += 1
    assert torch.equal(first, torch.ones(shape))
    assert torch.equal(second, torch.zeros(shape))
