"""A stack of runs is its runs: each ends where it ends alone, whoever else is in it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from autoloss.config import overlay
from autoloss.errors import ConfigError, DataError, MachineError
from autoloss.faults import machine_faults
from autoloss.layers.embedding import FieldEmbedding
from autoloss.layers.stack import part, stacked
from autoloss.methods.load import load
from autoloss.models import MODELS
from autoloss.records.store import read_record
from autoloss.search.run import search
from autoloss.study.cell import Cell
from autoloss.study.identity import run_id, run_key
from autoloss.study.study import Study
from autoloss.training import stop
from autoloss.training.graphs import Graphs
from autoloss.training.loop import Trainer, TrainingDivergedError
from autoloss.training.rehearsal import double_precision
from autoloss.training.runner import Runner
from autoloss.training.stack import Stack
from tests.tiny import ROOT, TASKS, tiny_config, tiny_splits
from tests.unit import stacks
from tests.unit.stacks import (
    require_equal,
    small,
    trained_both_ways,
    trainers,
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Splits for three runs, by task: their tables are of several sizes."""
    folder = tmp_path_factory.mktemp("splits")
    return {task: stacks.splits(folder / task, classes) for task, classes in TASKS.items()}


@pytest.fixture
def double():
    with double_precision():
        yield


def test_a_tables_runs_lie_one_under_the_other():
    """Run s's part of a stack is what it was alone, and its ids find its own rows."""
    tables = [FieldEmbedding(sizes, 2) for sizes in ((3, 4), (5, 1), (2, 2))]
    whole = stacked(tables)
    assert whole.weight.shape == (7 + 6 + 4 + 1, 2)  # and nobody's row
    assert not whole.weight[-1].any()
    for s, table in enumerate(tables):
        assert torch.equal(part(whole, s)["weight"], table.weight)
    ids = torch.tensor([[[2, 3], [0, 0]], [[4, 0], [4, 0]], [[1, 1], [0, 1]]])
    alone = [table(own) for table, own in zip(tables, ids, strict=True)]
    assert torch.equal(whole(ids), torch.stack(alone))
    rows, (places,) = whole.distinct([ids])
    assert rows.tolist() == [0, 2, 3, 6, 11, 12, 13, 14, 16, 17, 17, 17]
    assert torch.equal(whole.weight[rows][places], torch.stack(alone))


def test_torchs_linear_layers_and_batch_norm_take_a_stack():
    nets = []
    for seed in range(3):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 1)).double()
        nets.append(net)
    whole, x = stacked(nets), torch.randn(3, 6, 4, dtype=torch.float64)
    for mode in (True, False):  # running statistics have moved by then
        alone = [net.train(mode)(own) for net, own in zip(nets, x, strict=True)]
        torch.testing.assert_close(whole.train(mode)(x), torch.stack(alone), rtol=0, atol=1e-14)
    assert type(nets[0][0]) is nn.Linear


@pytest.mark.parametrize("updates", ["dense", "deferred"])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_ends_where_its_runs_end_alone(model, task, updates, data, double):
    config = small("autoloss", {"every": 3}, table_updates=updates, batch_size=60)
    for pair in zip(*trained_both_ways(config, data[task], model, "autoloss"), strict=True):
        require_equal(*pair[::-1])


@pytest.mark.parametrize(
    ("options", "training"),
    [
        ({"hypergradient": "finite_difference"}, {"table_updates": "dense"}),
        ({"hypergradient": "finite_difference"}, {"table_updates": "deferred"}),
        ({"hypergradient": "direct"}, {}),
        ({"look_ahead": "optimizer"}, {"table_updates": "dense"}),
        ({"look_ahead": "optimizer"}, {"table_updates": "deferred"}),
        ({"updates": "simultaneous", "straight_through": True, "detach": False}, {}),
        ({"tau_unit": "epoch", "tau_slope": 0.3}, {"weight_decay": 0.1}),
        ({}, {"weight_decay": 0.1, "decoupled_weight_decay": True, "table_updates": "deferred"}),
        ({}, {"validation": "halves"}),
    ],
)
def test_every_estimator_and_reading_does(options, training, data, double):
    """A difference of gradients keeps half the digits."""
    config = small("autoloss", {"hidden": [8, 6], **options}, batch_norm=False, **training)
    loose = options.get("hypergradient") == "finite_difference"
    for alone, together in zip(
        *trained_both_ways(config, data["binary"], "deepfm", "autoloss"), strict=True
    ):
        require_equal(together, alone, batch_norm=False, loose=1e4 if loose else 1)


def test_a_controller_that_sees_features_does(data, double):
    """Its table has other sizes in each run."""
    config = small("autoloss_seeing", {"hidden": [8, 6], "every": 3, "sees": "features"})
    pairs = trained_both_ways(config, data["binary"], "deepfm", "autoloss_seeing")
    for alone, together in zip(*pairs, strict=True):
        require_equal(together, alone)


def test_runs_stop_early_each_at_its_own_epoch(data, double):
    config = small("ce", max_epochs=12, patience=1, lr=0.05)
    alone, together = trained_both_ways(config, data["binary"], "deepfm", "ce")
    assert len({run.progress.epoch for run in alone}) > 1
    for pair in zip(together, alone, strict=True):
        require_equal(*pair)


def test_in_single_precision_by_kernels_or_in_a_stack_curves_are_the_same(data):
    """As runs are: what rounds is another order of sums."""
    config = small("autoloss", {"every": 3, "look_ahead": "optimizer"}, table_updates="deferred")
    for alone, together in zip(
        *trained_both_ways(config, data["binary"], "deepfm", "autoloss"), strict=True
    ):
        require_equal(together, alone, loose=1e8)


def test_refitted_each_trains_for_the_epochs_that_were_its_best(data, double):
    config = small("ce", max_epochs=12, patience=1, lr=0.05)
    alone, together = (
        trainers(config, data["binary"], "deepfm", "ce", in_stack=how) for how in (False, True)
    )
    for run in alone:
        run.train_to_the_end()
    first = Stack(together, idle={1})
    first.train_to_the_end()
    second = first.refit(None)
    second.train_to_the_end()
    assert together[0].progress.best_epoch != together[2].progress.best_epoch
    for s in (0, 2):
        right = alone[s].refit()
        right.train_to_the_end()
        for run in (right, second.runs[s]):
            run.judge_best()
        require_equal(second.runs[s], right, loose=10)


def test_a_run_that_diverges_fails_alone(data, double):
    config = small("autoloss", {"hidden": [8, 6]})
    alone, together = (
        trainers(config, data["binary"], "deepfm", "autoloss", in_stack=how)
        for how in (False, True)
    )
    for runs in (alone, together):
        runs[1].model.mlp[-1].weight.data.fill_(float("inf"))
    stack = Stack(together)
    stack.train_to_the_end()
    assert list(stack.failures) == [1]
    with pytest.raises(TrainingDivergedError) as expected:
        alone[1].train_to_the_end()
    assert str(stack.failures[1]) == str(expected.value)
    for s in (0, 2):
        alone[s].run()
        together[s].judge_best()
        require_equal(together[s], alone[s])


def test_where_all_diverge_that_is_said(data):
    runs = trainers(small("ce"), data["binary"], "deepfm", "ce", in_stack=True)
    for run in runs:
        run.model.bias.data.fill_(float("nan"))
    with pytest.raises(TrainingDivergedError, match="epoch 1"):
        Stack(runs).train_to_the_end()


@pytest.mark.parametrize("updates", ["dense", "deferred"])
def test_stopped_it_goes_on_with_the_same_bits(updates, data, tmp_path, monkeypatch):
    """In the middle of an epoch, after one run has failed and another has stopped early."""
    config = small("autoloss", {"hidden": [8, 6]}, table_updates=updates, max_epochs=4, patience=1)
    file = tmp_path / "state.pt"

    def made(state=None):
        runs = trainers(config, data["binary"], "deepfm", "autoloss", in_stack=True)
        runs[1].model.bias.data.fill_(float("nan"))
        return Stack(runs, state=state)

    def digests(stack):
        for s in (0, 2):
            stack.runs[s].judge_best()
        return [stack.runs[s].weights_digest() for s in (0, 2)]

    whole = made()
    whole.train_to_the_end()
    for at in (3, 11):
        first, asked = made(file), []

        def counting(take, asked=asked, at=at, first=first):
            def taken(step):
                asked.extend([15] * (step.t == at))
                return take(step)

            return taken

        with monkeypatch.context() as patch:
            patch.setattr(stop, "_asked", asked)
            patch.setattr(first, "take", counting(first.take))
            with pytest.raises(stop.StoppedError):
                first.train_to_the_end()
        again = made(file)
        assert again.progress.steps == at + 1
        again.train_to_the_end()
        assert digests(again) == digests(whole)
        assert list(again.failures) == list(whole.failures) == [1]
        file.unlink()


def test_a_runs_bits_depend_on_how_many_there_are_and_not_on_which(data, double):
    """So one that is finished may be replaced by anything."""
    config = small("autoloss", {"hidden": [8, 6], "every": 3}, batch_size=60)
    digests = []
    for seeds in ((0, 1, 2), (5, 1, 7)):
        order = [data["binary"][1 if seed == 1 else 0] for seed in seeds]
        runs = trainers(config, order, "deepfm", "autoloss", seeds, in_stack=True)
        Stack(runs).train_to_the_end()
        runs[1].judge_best()
        digests.append(runs[1].weights_digest())
    assert digests[0] == digests[1]


class Mixed(nn.Module):
    """A model that counts its dimensions from the front."""

    def __init__(self, field_sizes):
        super().__init__()
        self.table = FieldEmbedding(field_sizes, 1)

    def forward(self, ids):
        return self.table(ids).sum(dim=1).squeeze(-1)


def built_as(kind, monkeypatch):
    """Every model is one of these."""
    monkeypatch.setattr("autoloss.training.loop.build_model", lambda name, sizes, *how: kind(sizes))


def test_code_that_mixes_runs_up_is_refused_before_training(data, monkeypatch):
    built_as(Mixed, monkeypatch)
    runs = trainers(small("ce"), data["binary"], "deepfm", "ce", in_stack=True)
    with pytest.raises(ConfigError, match=r"training.stack.* not in a stack what it is alone"):
        Stack(runs)


class Alone(Mixed):
    """A model that breaks on a stack, and says nothing of why."""

    def forward(self, ids):
        assert ids.dim() == 2
        return super().forward(ids)


def test_what_breaks_on_a_stack_is_refused_but_not_a_fault_of_the_machine(data, monkeypatch):
    built_as(Alone, monkeypatch)
    runs = trainers(small("ce"), data["binary"], "deepfm", "ce", in_stack=True)
    with pytest.raises(ConfigError, match="deepfm under ce is not in a stack what it is alone"):
        Stack(runs)

    def full(modules):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("autoloss.training.stack.stacked", full)
    with pytest.raises(MachineError, match="out of memory"), machine_faults("a job"):
        Stack(runs)


class Undeclared(load("ce")):
    """A step of its own, of which nothing says that it computes a stack."""

    def before_step(self, step):
        return False


class Declared(Undeclared):
    def kind(self, t):
        return 0


def test_a_step_of_ones_own_says_that_it_computes_a_stack(data):
    for method, refused in ((Undeclared, True), (Declared, False)):
        made = zip(data["binary"], range(3), strict=True)
        runs = [Trainer(small("ce"), own, "deepfm", method, s, in_stack=True) for own, s in made]
        if not refused:
            Stack(runs).inner_step()
            continue
        with pytest.raises(ConfigError, match=r"Undeclared.before_step does not say") as error:
            Stack(runs)
        assert "define `kind`" in str(error.value)


def test_a_validation_split_without_a_class_is_refused_before_training(data):
    runs = trainers(small("ce"), data["binary"], "deepfm", "ce", in_stack=True)
    runs[1].judged.labels = torch.zeros_like(runs[1].judged.labels)
    with pytest.raises(DataError, match="no example of class 1"):
        Stack(runs)


def test_splits_of_several_sizes_are_refused(data):
    runs = trainers(small("ce"), data["binary"], "deepfm", "ce", in_stack=True)
    runs[2].train.labels = runs[2].train.labels[1:]
    with pytest.raises(ConfigError, match=r"train splits have 299 to 300 rows"):
        Stack(runs)


class Refuses:
    """A recorder of a device that records nothing."""

    def warm(self, work):
        return work()

    def record(self, work):
        raise RuntimeError("operation not permitted\nwhen a stream is capturing")


def own_order(method):
    """`method` with a look at validation batches in an order of its own."""
    before_step, kind = method.before_step, method.kind

    def looks(step):
        step.validation(5)
        return before_step(step)

    method.before_step, method.kind = looks, kind


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda method: None, "operation not permitted"),
        (own_order, "ce has an order of validation batches of its own"),
    ],
)
def test_where_no_graph_can_be_made_it_is_said_once_and_steps_are_taken(change, why, data):
    eager, other = (
        Stack(trainers(small("ce"), data["binary"], "deepfm", "ce", in_stack=True))
        for _ in range(2)
    )
    said = []
    other.graphs = Graphs(other, Refuses(), said.append)
    for stack in (eager, other):
        change(stack.method)
    for _ in range(6):
        assert torch.equal(*(stack.inner_step()[0] for stack in (eager, other)))
    assert len(said) == 1
    assert why in said[0]


CELL = Cell("ml100k-ctr", "deepfm", "autoloss")


def in_jobs_of(seeds, first=0, **training):
    """A study of two seeds whose jobs have so many."""
    keys = {"seeds_per_job": seeds, "first_seed": first}
    return Study(overlay(tiny_config(**training), {"study": keys}, "test"), ROOT)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study whose jobs train three runs at once, of which it has two."""
    monkeypatch.chdir(tmp_path)
    plan = in_jobs_of(3, stack=3, checkpoint_seconds=0)
    tiny_splits(plan, CELL.dataset, 2)
    return plan


@pytest.mark.parametrize("method", ["autoloss", "ce_more_data"])
def test_a_job_records_each_run_of_its_stack(method, study, monkeypatch):
    cell = Cell(CELL.dataset, CELL.model, method)
    Runner(study, lambda line: None).train_shard(cell, 0, 1)
    records = [read_record(study.record_file(cell, seed)) for seed in (0, 1)]
    assert [(r.status, r.seed, r.split) for r in records] == [("ok", 0, 0), ("ok", 1, 1)]
    assert {r.config["training"]["stack"] for r in records} == {3}
    assert len({r.run_id for r in records}) == len({r.digest for r in records}) == 2
    assert not list(study.cell_folder(cell).glob(".state/*.pt"))
    study.record_file(cell, 1).unlink()  # and one alone is what it was beside the other
    Runner(study, lambda line: None).train_shard(cell, 1, 1)
    assert read_record(study.record_file(cell, 1)).digest == records[1].digest
    monkeypatch.setattr(Stack, "run_epoch", lambda self, _: pytest.fail("trained again"))
    Runner(study, lambda line: None).train_shard(cell, 0, 1)


@pytest.mark.parametrize("method", ["autoloss", "ce_more_data"])
def test_killed_between_two_records_a_job_goes_on_with_the_other(method, study, monkeypatch):
    """From the last checkpoint, of both; a refit has one of its own."""
    cell, runner = Cell(CELL.dataset, CELL.model, method), Runner(study, lambda line: None)
    written, taken, steps = Runner._written, Stack.taken, []

    def counted(self, t):
        steps.append(t)
        return taken(self, t)

    def killed(self, run):
        if run.seed == 1:
            raise KeyboardInterrupt
        return written(self, run)

    def digests():
        return [read_record(study.record_file(cell, seed)).digest for seed in (0, 1)]

    monkeypatch.setattr(Stack, "taken", counted)
    runner.train_shard(cell, 0, 1)
    right, whole = digests(), len(steps)
    for seed in (0, 1):
        study.record_file(cell, seed).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(Runner, "_written", killed)
        with pytest.raises(KeyboardInterrupt):
            runner.train_shard(cell, 0, 1)
    assert study.record_file(cell, 0).exists()
    assert not study.record_file(cell, 1).exists()
    steps.clear()
    runner.train_shard(cell, 0, 1)
    assert digests() == right
    assert len(steps) <= 2 < whole


def test_what_a_methods_code_does_wrong_fails_all_its_runs(study, monkeypatch):
    def broken(self, t):
        raise ZeroDivisionError("somebody's")

    monkeypatch.setattr(Stack, "taken", broken)
    Runner(study, lambda line: None).train_shard(CELL, 0, 1)
    for seed in (0, 1):
        failed = read_record(study.record_file(CELL, seed)).failure
        assert (failed.kind, failed.message) == ("ZeroDivisionError", "somebody's")


@pytest.mark.parametrize("method", ["autoloss", "grid", "autoloss_frozen"])
def test_a_run_of_a_stack_takes_what_it_takes_alone(method, tmp_path, monkeypatch):
    """What a search chose, and the controller of its own seed."""
    cell, found = Cell(CELL.dataset, CELL.model, method), []
    for height in (1, 2):
        folder = tmp_path / str(height)
        folder.mkdir()
        monkeypatch.chdir(folder)
        study = in_jobs_of(2, stack=height)
        source = study.controller_of(cell)
        for one in filter(None, (source, cell)):
            tiny_splits(study, one.dataset, 2)
            if study.searches(one):
                search(study, one, lambda line: None)
            Runner(study, lambda line: None).train_shard(one, 0, 1)
        found.append([read_record(study.record_file(cell, seed)) for seed in (0, 1)])
    for alone, together in zip(*found, strict=True):
        assert together.status == alone.status == "ok"
        assert together.run_id != alone.run_id
        assert (together.controller is None) == (alone.controller is None)
        for split, metrics in alone.metrics.items():
            assert together.metrics[split] == pytest.approx(metrics, abs=2e-3)


def test_only_where_a_gpu_is_asked_for_by_name_seeds_are_stacked_by_themselves():
    def height(**keys):
        return Study(tiny_config(**keys), ROOT).stack

    assert height(device="cpu") == height(device="auto") == 1
    assert height(device="cuda") == height(device="cuda:1") == 2  # seeds_per_job of the smoke scale
    assert height(device="cuda", stack=1) == 1
    assert height(device="cpu", stack=2) == 2


def test_places_that_would_idle_in_every_job_are_refused():
    with pytest.raises(ConfigError, match=r"training.stack: is 3: places would idle") as error:
        Study(tiny_config(stack=3), ROOT)
    assert "give study.seeds_per_job a multiple of it" in str(error.value)
    assert in_jobs_of(6, stack=3).stack == 3


def test_a_run_is_at_its_seeds_place_in_its_job():
    study = in_jobs_of(6, first=5, stack=3)
    assert [study.place(seed) for seed in (5, 6, 7, 8, 10, 11)] == [
        *((0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0)),
    ]


def test_how_many_train_at_once_is_part_of_a_runs_identity():
    def key(**keys):
        return run_key(in_jobs_of(6, **keys), CELL)

    assert key(device="cpu") == key(device="auto") == key(device="cuda", stack=1)
    assert len({key(device="cpu"), key(device="cuda"), key(stack=3)}) == 3
    assert key(device="cuda") == key(device="cpu", stack=6)


def test_and_so_is_its_place():
    """Seed 6 is second, or, in a study that begins with another, first."""

    def identity(first, stack):
        return run_id(in_jobs_of(2, first, stack=stack), CELL, 6, "of data")

    assert identity(5, 2) != identity(6, 2)
    assert identity(5, 1) == identity(6, 1)
