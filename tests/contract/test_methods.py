"""What every method promises; a new file in `baselines/` is tested with no edit here."""

from __future__ import annotations

import math

import pytest
import torch

from autoloss.registry import discover, load
from autoloss.training import checkpoint
from autoloss.training.loop import Trainer
from tests.tiny import TASKS, tiny_config

METHODS = discover()

every_method = pytest.mark.parametrize("name", METHODS)
both_tasks = pytest.mark.parametrize("task", TASKS)


def trainer(name, data, *, seed=0, model="deepfm", **training):
    return Trainer(tiny_config(**training), data, model, load(name), seed)


def outcome(run):
    metrics = run.run()
    return metrics, run.weights_digest(), run.progress.curves


@every_method
@both_tasks
@pytest.mark.parametrize("model", ["deepfm", "ipnn"])
def test_trains_both_models_on_both_tasks_with_finite_losses(name, task, model, tiny):
    run = trainer(name, tiny[task], model=model)
    metrics = run.run()
    assert run.progress.steps == 10
    assert set(metrics) == {"validation", "test"}
    for values in (*metrics.values(), *run.progress.curves):
        assert all(math.isfinite(value) for value in values.values())


@every_method
@both_tasks
def test_weights_are_on_the_simplex(name, task, tiny):
    run = trainer(name, tiny[task])
    run.run_epoch()
    for _ in range(3):
        _, weights = run.inner_step()
        n = len(run.method.candidates)
        assert weights.shape in {(n,), (64, n)}
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


@every_method
def test_the_weighting_moves_if_and_only_if_it_learns(name, tiny):
    run = trainer(name, tiny["binary"])
    before = [p.clone() for p in run.method.parameters()]
    run.run_epoch()
    after = list(run.method.parameters())
    if METHODS[name].info.learns_on == "nothing":
        assert not before
        assert run.progress.outer_steps == 0
    else:
        assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
        assert run.progress.outer_steps >= 1


@every_method
@both_tasks
def test_same_seed_same_bits_and_other_seed_other_bits(name, task, tiny):
    first = outcome(trainer(name, tiny[task], seed=3))
    assert outcome(trainer(name, tiny[task], seed=3)) == first
    assert outcome(trainer(name, tiny[task], seed=4))[1] != first[1]


@every_method
@both_tasks
def test_goes_on_from_a_checkpoint_with_the_same_bits(name, task, tiny, tmp_path):
    whole = outcome(trainer(name, tiny[task]))
    first = trainer(name, tiny[task])
    first.run_epoch()
    checkpoint.save(first.state(), tmp_path / "state.pt")
    second = trainer(name, tiny[task])
    torch.manual_seed(12345)  # nothing may depend on what was drawn before
    second.load_state(checkpoint.load(tmp_path / "state.pt", torch.device("cpu")))
    assert outcome(second) == whole


@every_method
def test_says_what_it_is(name):
    info = METHODS[name].info
    assert info.label
    assert info.summary
    assert info.paper
    assert (load(name).__doc__ or "").strip()
    assert len(METHODS[name].file.read_text().splitlines()) <= 150


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every_method
def test_same_bits_twice_on_a_gpu(name, tiny):
    first = outcome(trainer(name, tiny["binary"], device="cuda"))
    assert outcome(trainer(name, tiny["binary"], device="cuda")) == first
