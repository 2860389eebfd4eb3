"""What every method promises; a new file in `baselines/` is tested with no edit here."""

from __future__ import annotations

import ast
import math
from functools import cache

import pytest
import torch

from autoloss.config import ModelOptions
from autoloss.methods.discover import discover
from autoloss.methods.frozen import Frozen
from autoloss.methods.learned import Learned
from autoloss.methods.load import load
from autoloss.ops.adam import fused_step
from autoloss.training.loop import Trainer
from tests.tiny import TASKS, tiny_config, with_needs

METHODS = discover()

every_method = pytest.mark.parametrize("name", METHODS)
both_tasks = pytest.mark.parametrize("task", TASKS)


def trainer(name, data, *, seed=0, model="deepfm", state=None, **training):
    config = with_needs(tiny_config(**training), name)
    return Trainer(config, data, model, load(name), seed, state=state)


COUNTS = ("steps", "outer_steps", "examples", "forward_examples", "backward_examples")


def outcome(run):
    """Metrics, the weights' digest, curves and counts of a whole run."""
    metrics, progress = run.run(), run.progress
    counts = {count: getattr(progress, count) for count in COUNTS}
    return metrics, run.weights_digest(), progress.curves, counts


@pytest.fixture(scope="module")
def made(tiny):
    """`(name, task, **of trainer)` -> outcome, of one training each."""

    @cache
    def run(name, task, **options):
        return outcome(trainer(name, tiny[task], **options))

    return run


@every_method
@both_tasks
@pytest.mark.parametrize("model", ["deepfm", "ipnn"])
def test_trains_both_models_on_both_tasks_with_finite_losses(name, task, model, made):
    metrics, _, curves, counts = made(name, task, model=model)
    assert counts["steps"] == 10
    assert set(metrics) == {"validation", "test"}
    for values in (*metrics.values(), *curves):
        assert all(math.isfinite(value) for value in values.values())


@every_method
@both_tasks
def test_weights_are_on_the_simplex_unless_the_info_says_otherwise(name, task, tiny):
    run = trainer(name, tiny[task])
    run.run_epoch()
    for _ in range(3):
        _, weights = run.inner_step()
        n = len(run.method.candidates)
        assert weights.shape in {(n,), (64, n)}, f"weights are of shape {list(weights.shape)}"
        assert torch.isfinite(weights).all(), "weights are not finite"
        if METHODS[name].info.simplex:
            mend = "normalise them, or say simplex=False in its Info"
            assert (weights >= 0).all(), f"weights are below 0: {mend}"
            sums = weights.sum(-1)
            near = torch.allclose(sums, torch.ones_like(sums), atol=1e-5)
            assert near, f"weights do not sum to 1: {mend}"


@both_tasks
def test_same_seed_same_bits_whatever_ran_before(task, tiny, made):
    """All methods in one order, and once more in the other."""
    runs = [(name, ("deepfm", "ipnn")[k % 2]) for k, name in enumerate(METHODS)]
    first = {name: made(name, task, model=model) for name, model in runs}
    for name, model in reversed(runs):
        assert outcome(trainer(name, tiny[task], model=model)) == first[name], name


@every_method
@both_tasks
def test_other_seed_other_bits(name, task, made):
    _, digest, *_ = made(name, task, model="deepfm")
    assert made(name, task, model="deepfm", seed=4)[1] != digest


def weighting_of(run):
    """The parameters; without any, the weights of one batch at one step, whatever the model says.

    Weights that are drawn differ from step to step anyway.
    """
    if parameters := [p.detach().clone() for p in run.method.parameters()]:
        return parameters
    batch, draw = run.train.batch(run.train.count - 1), run.method.draw(0, "inner")
    return [run.method.weights(run.method.examples(*batch, torch.zeros(len(batch.labels))), draw)]


@every_method
def test_the_weighting_moves_if_and_only_if_it_learns(name, tiny):
    info = METHODS[name].info
    run = trainer(name, tiny["binary"], max_epochs=3, patience=3)
    run.run_epoch()
    early = weighting_of(run)
    run.run()
    late = weighting_of(run)
    moved = not all(torch.equal(a, b) for a, b in zip(early, late, strict=True))
    assert moved == (run.progress.outer_steps > 0)
    assert moved == (info.learns_on != "nothing" and not info.searches)


@every_method
def test_an_outer_step_comes_after_every_fth_update(name, tiny):
    """Algorithm 1 and section 3.7, of all methods that have one."""
    run = trainer(name, tiny["binary"])
    if not isinstance(run.method, Learned) or isinstance(run.method, Frozen):
        return
    every = run.method.options["every"]
    counts = []
    for _ in range(2 * every + 1):
        run.inner_step()
        counts.append(run.progress.outer_steps)
    assert counts == [step // every for step in range(2 * every + 1)]


@every_method
def test_before_a_step_the_model_stays_and_no_step_reads_a_generator(name, tiny):
    """The model's parameters and buffers are not a method's to change; noise is by place.

    A method may have the inner step's pass made early; running statistics move with that pass only.
    """
    run, plain = trainer(name, tiny["binary"]), trainer("ce", tiny["binary"])
    state = torch.get_rng_state()
    for one in (run, plain):
        one.sums.add(*one.inner_step())  # as `run_epoch`, which goes on from here
    buffers = dict(plain.model.named_buffers())
    assert all(torch.equal(value, buffers[key]) for key, value in run.model.named_buffers())
    before = {key: value.clone() for key, value in run.model.named_parameters()}
    for t in (1, 2, 5, 7):  # steps with and without an outer one, and the start of an epoch
        run.method.before_step(run.step(t))
    assert all(torch.equal(value, before[key]) for key, value in run.model.named_parameters())
    run.run_epoch()
    assert torch.equal(torch.get_rng_state(), state)


@every_method
@both_tasks
@pytest.mark.parametrize(
    ("training", "steps"),
    [
        ({"table_updates": "dense"}, (5, 8)),  # between two epochs, and within the second
        # Batches of 8 leave most rows out: many are behind when the checkpoint is written.
        ({"table_updates": "deferred", "batch_size": 8, "max_epochs": 1}, (20,)),
    ],
)
def test_stopped_at_any_step_it_goes_on_with_the_same_bits(
    name, task, training, steps, tiny, made, stops
):
    run = trainer(name, tiny[task], state=stops.file, **training)
    for step in steps:
        stops.at(step, run)
        torch.manual_seed(12345)  # nothing may depend on what was drawn before
        run = trainer(name, tiny[task], state=stops.file, **training)
        assert run.progress.steps == step
    assert outcome(run) == made(name, task, **training)


@every_method
def test_deferred_table_updates_change_nothing_but_rounding(name, tiny):
    """Batches of 8 leave most rows out. A bias before batch norm would scale up rounding noise."""
    trained = []
    for updates in ("dense", "deferred"):
        config = with_needs(tiny_config(batch_size=8, table_updates=updates), name)
        plain = ModelOptions(embedding_dim=4, hidden=(8,), batch_norm=False)
        run = Trainer(
            config.model_copy(update={"model": plain}), tiny["binary"], "deepfm", load(name), 0
        )
        run.run_epoch()
        trained.append(run.model.state_dict())
    torch.testing.assert_close(*trained, rtol=1e-3, atol=1e-5)


def lines_of_fidelity(name):
    tree = ast.parse(METHODS[name].file.read_text())
    said = [node.value for node in ast.walk(tree) if getattr(node, "arg", "") == "fidelity"]
    return sum(
        value.end_lineno - value.lineno + 1 for value in said if isinstance(value, ast.Tuple)
    )


@every_method
def test_says_what_it_is(name):
    info = METHODS[name].info
    assert info.label
    assert info.summary
    assert info.paper
    assert (load(name).__doc__ or "").strip()
    lines = METHODS[name].file.read_text().count("\n") - lines_of_fidelity(name)
    assert lines <= 150


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every_method
def test_same_bits_twice_on_a_gpu(name, tiny):
    first = outcome(trainer(name, tiny["binary"], device="cuda"))
    assert outcome(trainer(name, tiny["binary"], device="cuda")) == first


def plain_step(values, gradients, means, squares, steps, options):
    """Adam by torch's plain operations, which read a gradient however it lies in memory."""
    lr, (b1, b2), eps, decay, decoupled = options
    for value, gradient, mean, square in zip(values, gradients, means, squares, strict=True):
        if decoupled:
            value.mul_(1 - lr * decay)
        elif decay:
            gradient = gradient + decay * value
        mean.mul_(b1).add_(gradient, alpha=1 - b1)
        square.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
        root = (square / (1 - b2 ** (steps + 1))).sqrt() + eps
        value.sub_(lr / (1 - b1 ** (steps + 1)) * mean / root)


@every_method
@both_tasks
def test_each_step_is_adams_however_the_gradients_lie_in_memory(name, task, tiny, monkeypatch):
    """Those of the model, and those of the weighting."""
    calls = []

    def compared(values, gradients, means, squares, steps, options):
        wanted = [[tensor.clone() for tensor in part] for part in (values, means, squares)]
        plain_step(wanted[0], gradients, *wanted[1:], steps, options)
        fused_step(values, gradients, means, squares, steps, options)
        calls.append(values)
        torch.testing.assert_close([values, means, squares], wanted, rtol=1e-4, atol=1e-7)

    monkeypatch.setattr("autoloss.ops.adam.fused_step", compared)
    run = trainer(name, tiny[task])
    run.run()
    assert len(calls) >= run.progress.steps  # an outer step need not be one of Adam's
