"""On a GPU: the same as on a CPU, which the other tests look at; and stop and go on there."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from autoloss.data.load.gathered import Gathered
from autoloss.data.load.together import Ahead
from autoloss.hypergradient import ESTIMATORS
from autoloss.methods.load import load
from autoloss.models import MODELS
from autoloss.ops.dropout import dropout_mask
from autoloss.ops.random import gumbel, words
from autoloss.seeds import Draw, Seeds
from autoloss.task import Task
from autoloss.training import checkpoint, evaluate, on_device
from autoloss.training.loop import Trainer
from autoloss.training.stack import Stack
from tests.tiny import TASKS, tiny_config
from tests.training.deferred_tables import tables, train
from tests.unit.problems import flat, make_method, make_model, make_step
from tests.unit.stacks import small, splits, trainers

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
both = pytest.mark.parametrize("task", TASKS)
GPU = torch.device("cuda")


@pytest.mark.parametrize("n", [1, 5, 100_003])
def test_noise_is_the_cpus(n):
    for seed in (-(2**63), -1, 0, 12345, 2**63 - 1):
        assert torch.equal(words(seed, n, GPU).cpu(), words(seed, n, torch.device("cpu")))
        here, there = torch.empty(n), torch.empty(n, device=GPU)
        assert torch.equal(dropout_mask(there, 0.2, seed).cpu(), dropout_mask(here, 0.2, seed))
        torch.testing.assert_close(gumbel(seed, there).cpu(), gumbel(seed, here))


@pytest.mark.parametrize("estimator", ESTIMATORS)
@both
@pytest.mark.parametrize("name", MODELS)
def test_the_outer_gradient_is_the_cpus(name, task, estimator):
    """Dropout and batch norm are on."""
    task = Task(TASKS[task])
    step = make_step(make_model(name, task), task)
    method = make_method("al2", task, hidden=(8, 6))
    there = copy.copy(step)
    there.model, there.batch = copy.deepcopy(step.model).to(GPU), step.batch.to(GPU)
    there.validation = lambda k: step.validation(k).to(GPU)
    method_there = make_method("al2", task, hidden=(8, 6)).to(GPU)
    found = [
        flat(ESTIMATORS[estimator](m.outer_problem(s), 0.1)).cpu()
        for m, s in ((method, step), (method_there, there))
    ]
    assert found[0].norm() > 0
    # A difference of gradients loses half the digits.
    limit = 1e-4 if estimator == "finite_difference" else 1e-9
    assert (found[1] - found[0]).norm() <= limit * found[0].norm()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_deferred_adam_moves_as_on_the_cpu(weight_decay):
    steps, ends = [(3, 1e-2)] * 40, []
    for device in (torch.device("cpu"), GPU):
        ours, _ = train(
            [table.to(device) for table in tables(0)], steps, 1.0, seed=0, weight_decay=weight_decay
        )
        ends.append([table.weight.detach().cpu() for table in ours])
    torch.testing.assert_close(ends[1], ends[0], rtol=1e-9, atol=1e-12)


@both
@pytest.mark.parametrize("name", MODELS)
def test_trains_as_on_the_cpu(name, task, tiny):
    config = tiny_config(max_epochs=3, patience=3)
    curves = []
    for device in ("cpu", "cuda"):
        training = config.training.model_copy(update={"device": device})
        config = config.model_copy(update={"training": training})
        run = Trainer(config, tiny[task], name, load("al2"), 0)
        run.run()
        curves.append([curve["train_loss"] for curve in run.progress.curves])
    assert curves[0][-1] < curves[0][0]
    assert curves[1] == pytest.approx(curves[0], rel=1e-3)


@both
@pytest.mark.parametrize("updates", ["dense", "deferred"])
def test_stopped_it_goes_on_with_the_same_bits(updates, task, tiny, stops):
    config = tiny_config(device="cuda", table_updates=updates)

    def run(state=None):
        return Trainer(config, tiny[task], "deepfm", load("autoloss"), 0, state=state)

    whole = run()
    metrics = whole.run()
    stops.at(8, run(stops.file))
    again = run(stops.file)
    assert again.progress.steps == 8
    assert again.run() == metrics
    assert again.weights_digest() == whole.weights_digest()


def test_tables_are_dense_there_up_to_another_size(tiny):
    deferred = [
        Trainer(
            tiny_config(device=device, batch_size=2), tiny["binary"], "deepfm", load("ce"), 0
        ).optimizer.state_dict()["rows"]
        for device in ("cpu", "cuda")
    ]
    assert deferred[0] is not None
    assert deferred[1] is None


def stack(name, task, folder, **training):
    data = splits(folder, TASKS[task])
    config = small(name, device="cuda", **training)
    return Stack(trainers(config, data, "deepfm", name, in_stack=True), report=pytest.fail)


def digests(made):
    for run in made.runs:
        run.judge_best()
    return [run.weights_digest() for run in made.runs]


@both
@pytest.mark.parametrize("updates", ["dense", "deferred"])
@pytest.mark.parametrize("name", ["ce", "autoloss", "slf", "l2rw", "dwa", "gradnorm", "melu"])
def test_a_stack_has_the_same_bits_by_graphs_and_kernel_by_kernel(name, updates, task, tmp_path):
    """And twice the same by graphs; a reason to start kernels one by one fails the test."""
    found = []
    for k, graphs in enumerate((True, True, False)):
        made = stack(name, task, tmp_path / str(k), max_epochs=4, table_updates=updates)
        if not graphs:
            made.graphs = None
        made.train_to_the_end()
        assert graphs == bool(made.graphs and made.graphs._recorded)
        found.append(digests(made))
    assert found[0] == found[1] == found[2]


@both
@pytest.mark.parametrize("name", MODELS)
def test_a_stack_trains_as_its_runs_do_on_the_cpu(name, task, tmp_path):
    data, curves = splits(tmp_path, TASKS[task]), []
    for device in ("cpu", "cuda"):
        config = small("al2", device=device, max_epochs=3, patience=3)
        runs = trainers(config, data, name, "al2", in_stack=True)
        Stack(runs).train_to_the_end()
        curves.append([c["train_loss"] for run in runs for c in run.progress.curves])
    assert curves[1] == pytest.approx(curves[0], rel=1e-3)


def test_batches_read_ahead_give_the_same_bits(tmp_path):
    found = []
    for k in range(2):
        made = stack("autoloss", "binary", tmp_path / str(k), max_epochs=2)
        assert {type(source) for source in made.sources.values()} == {Gathered}
        if k:
            each = {name: Ahead(source.each, made.device) for name, source in made.sources.items()}
            made.sources = each
        made.train_to_the_end()
        found.append(digests(made))
    assert found[0] == found[1]


def test_a_run_has_the_same_bits_whoever_its_neighbours_are(tmp_path):
    data, found = splits(tmp_path, 2), []
    for seeds in ((0, 1, 2), (5, 1, 7)):
        config = small("autoloss", device="cuda", max_epochs=3)
        order = [data[1 if seed == 1 else 0] for seed in seeds]
        made = Stack(trainers(config, order, "deepfm", "autoloss", seeds, in_stack=True))
        made.train_to_the_end()
        found.append(digests(made)[1])
    assert found[0] == found[1]


def test_a_stack_draws_there_what_it_draws_on_the_cpu():
    drawn = []
    for device in ("cpu", "cuda"):
        seeds = Seeds([3, -7, 2**62], torch.device(device))
        for t in range(3):  # at first one by one, then at once
            seeds.begin(t, "kind")
            draw = Draw.of(seeds.clock, seeds, "dropout", "inner")
            like = torch.empty(3, 33, 5, device=device)
            drawn += [dropout_mask(like, 0.2, draw.seed(1)), gumbel(draw.seed(2), like)]
    for one, other in zip(drawn[:6], drawn[6:], strict=True):
        torch.testing.assert_close(one, other.cpu(), rtol=1e-5, atol=1e-5)


@both
def test_a_run_is_judged_there_as_on_the_host(task):
    random, kind = np.random.default_rng(0), Task(TASKS[task])
    labels = random.integers(0, kind.classes, 5000)
    shape = 5000 if kind.binary else (5000, kind.classes)
    logits = random.normal(size=shape).round(1).astype(np.float32)  # with ties
    given = torch.tensor(labels, device="cuda"), torch.tensor(logits, device="cuda")
    for name in ("auc", "logloss"):
        found = float(getattr(on_device, name)(kind, *given))
        expected = getattr(evaluate, name)(kind, labels, logits.astype(float))
        assert found == pytest.approx(expected, rel=1e-5)


def test_stopped_a_stack_goes_on_with_the_same_bits(tmp_path):
    data, file = splits(tmp_path, 2), tmp_path / "state.pt"
    config = small("autoloss", device="cuda", max_epochs=4)

    def made(state=None):
        return Stack(trainers(config, data, "deepfm", "autoloss", in_stack=True), state=state)

    whole, half = made(), made()
    whole.train_to_the_end()
    half.run_epoch()
    for _ in range(3):
        half.sums.add(*half.inner_step())
    checkpoint.save_next(half.state(), file)
    again = made(file)
    again.train_to_the_end()
    assert digests(again) == digests(whole)
