"""A trained controller as a file: saved with its run, taken frozen by another, never moved."""

from __future__ import annotations

import pytest
import torch

from autoloss.data.load.prepared import PreparedData
from autoloss.errors import ConfigError, RecordError
from autoloss.methods.frozen import controller_digest, save_controller
from autoloss.methods.load import load
from autoloss.records.chosen import run_id_of
from autoloss.records.store import read_record
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.task import Task
from autoloss.training.checkpoint import tensors_digest
from autoloss.training.loop import Trainer
from autoloss.training.runner import Runner
from tests.tiny import ROOT, tiny_config, tiny_splits

SOURCE = Cell("ml100k-ctr", "deepfm", "autoloss")
SLF, SLF_TARGET = Cell("ml100k-ctr", "deepfm", "slf"), Cell("adult", "deepfm", "slf_frozen")
TARGETS = [Cell("ml100k-ctr", "nfm", "autoloss_frozen"), Cell("adult", "deepfm", "autoloss_frozen")]


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = Study(tiny_config(), ROOT)
    for dataset in ("ml100k-ctr", "adult"):
        tiny_splits(plan, dataset, 2)
    return plan


def quiet(study):
    return Runner(study, lambda line: None)


@pytest.mark.parametrize(
    ("origin", "target"), [*((SOURCE, target) for target in TARGETS), (SLF, SLF_TARGET)], ids=str
)
def test_run_s_takes_the_controller_of_run_s_and_does_not_move_it(study, origin, target):
    quiet(study).train_shard(origin, 0, 1)
    quiet(study).train_shard(target, 0, 1)
    for seed in (0, 1):
        source, taken = (read_record(study.record_file(c, seed)) for c in (origin, target))
        assert taken.controller == source.controller
        assert source.controller.run_id == source.run_id
        assert taken.controller.sha256 == controller_digest(study.controller_file(origin, seed))
        assert taken.budget.outer_steps == 0
        assert not study.controller_file(target, seed).exists()
    digests = [read_record(study.record_file(origin, seed)).controller.sha256 for seed in (0, 1)]
    assert digests[0] != digests[1]


def test_the_weighting_is_the_trained_one_through_every_step(study):
    quiet(study).train_shard(SOURCE, 0, 0)
    file = study.controller_file(SOURCE, 0)
    data = PreparedData.open(study.prepared_folder("ml100k-ctr", 0))
    config = study.with_assignment(
        TARGETS[0].method, {"method.controller": str(file)}, "test"
    ).config
    run = Trainer(config, data, "nfm", load("autoloss_frozen"), 3)
    before = tensors_digest(run.method.weighting.state_dict())
    assert before == controller_digest(file)
    run.run()
    assert tensors_digest(run.method.weighting.state_dict()) == before
    assert not any(module.training for module in run.method.weighting.modules())


def test_the_gates_of_a_frozen_decision_network_are_still_drawn(tmp_path):
    file = tmp_path / "seed_0.controller.pt"
    save_controller(load("slf")(seed=5), file)
    method = load("slf_frozen")(options={"controller": str(file)}, seed=1).train()
    labels, logits = torch.tensor([0.0, 1.0]), torch.tensor([0.5, -2.0])
    examples = method.examples(None, labels, logits)
    first, same, later = (method.weigh(examples, t)[1] for t in (3, 3, 4))
    assert torch.equal(first, same)
    assert not torch.allclose(first, later)


def test_no_fault_of_the_machine_is_taken_for_a_wrong_controller(monkeypatch, tmp_path):
    def fail(*_):
        raise torch.OutOfMemoryError

    monkeypatch.setattr("autoloss.training.checkpoint.load", fail)
    with pytest.raises(torch.OutOfMemoryError):
        load("autoloss_frozen")(options={"controller": str(tmp_path / "seed_0.controller.pt")})


def test_a_controller_that_moves_is_a_failed_run(study, monkeypatch):
    quiet(study).train_shard(SOURCE, 0, 0)
    step = Trainer.inner_step

    def nudge(self):
        with torch.no_grad():
            next(self.method.weighting.parameters()).view(-1)[0] += 1e-7
        return step(self)

    monkeypatch.setattr(Trainer, "inner_step", nudge)
    quiet(study).train_shard(TARGETS[0], 0, 0)
    record = read_record(study.record_file(TARGETS[0], 0))
    assert (record.status, "moved" in record.failure.message) == ("failed", True)


def test_a_lost_controller_is_made_again_and_a_changed_one_is_refused(study):
    quiet(study).train_shard(SOURCE, 0, 0)
    file = study.controller_file(SOURCE, 0)
    digest = controller_digest(file)
    file.unlink()
    with pytest.raises(RecordError, match=r"controller\.pt: no such file"):
        quiet(study).train_shard(TARGETS[0], 0, 0)
    quiet(study).train_shard(SOURCE, 0, 0)
    assert controller_digest(file) == digest
    save_controller(load("autoloss")(seed=99), file)
    with pytest.raises(RecordError, match="not the one that its run's record names"):
        quiet(study).train_shard(TARGETS[0], 0, 0)


def test_the_runs_identity_follows_the_controllers(study):
    quiet(study).train_shard(SOURCE, 0, 0)
    first = run_id_of(study, TARGETS[0], 0, "data")
    other = Study(tiny_config(lr=0.01), ROOT)
    quiet(other).train_shard(SOURCE, 0, 0)
    assert run_id_of(study, TARGETS[0], 0, "data") != first


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (Task(5), {}, "classes"),
        (Task(2), {"hidden": (64, 64)}, "does not fit"),
    ],
)
def test_a_controller_of_another_task_or_size_is_refused(tmp_path, task, options, message):
    file = tmp_path / "seed_0.controller.pt"
    save_controller(load("autoloss")(Task(2)), file)
    with pytest.raises(ConfigError, match=message):
        load("autoloss_frozen")(task, options={"controller": str(file), **options})


def test_no_such_file_says_so():
    with pytest.raises(ConfigError, match="no such file"):
        load("autoloss_frozen")(options={"controller": "nowhere.pt"})
