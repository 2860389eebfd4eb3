"""Runs of a cell: reused when done, recorded when failed, and records whole or not there."""

from __future__ import annotations

import json

import pytest

from autoloss.config import overlay
from autoloss.data.load.prepared import PreparedData
from autoloss.errors import MachineError, MethodError, RecordError, UserError
from autoloss.methods.load import load
from autoloss.records import store
from autoloss.records.chosen import run_id_of
from autoloss.records.index import build_index
from autoloss.records.store import read_record, write_text
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.training.loop import Trainer, TrainingDivergedError
from autoloss.training.runner import Runner
from tests.tiny import ROOT, SPLITS, tiny_config, tiny_splits

CELL = Cell("ml100k-ctr", "deepfm", "autoloss")


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of tiny data, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    plan = Study(tiny_config(), ROOT)
    tiny_splits(plan, CELL.dataset, 2)
    return plan


def test_a_record_says_what_was_run_on_what(study):
    Runner(study, lambda line: None).train_shard(CELL, 0, 1)
    record = read_record(study.record_file(CELL, 1))
    data = PreparedData.open(study.prepared_folder(CELL.dataset, 1))
    assert (record.split, record.rows) == (1, SPLITS)
    assert (record.status, record.seed, record.method) == ("ok", 1, "autoloss")
    assert record.run_id == run_id_of(study, CELL, 1, data.data_hash)
    assert record.config["method"]["every"] == 7
    assert set(record.metrics["test"]) == {"auc", "logloss", "logloss_calibrated"}
    assert len(record.curves) == len(record.weights.mean) == record.budget.epochs == 2
    assert (record.budget.steps, record.budget.examples) == (10, 600)
    assert record.budget.outer_steps == 1  # before step 7
    assert record.provenance.data_hash == data.data_hash
    assert record.provenance.versions["torch"]
    assert record.provenance.deterministic


def test_a_reading_is_trained_as_it_was_planned(study):
    cell = Cell("ml100k-ctr", "deepfm", "autoloss_under_criterion_ce")
    Runner(study, lambda line: None).train_shard(cell, 0, 0)
    record = read_record(study.record_file(cell, 0))
    assert (record.status, record.config["method"]["criterion"]) == ("ok", "ce")


def test_finished_runs_are_not_trained_again(study, monkeypatch):
    file = Runner(study, lambda line: None).train_shard(CELL, 0, 1)
    first = json.loads(file.read_text())
    monkeypatch.setattr(Trainer, "run_epoch", lambda self: pytest.fail("trained again"))
    again = Runner(study, lambda line: None).train_shard(CELL, 0, 1)
    assert json.loads(again.read_text()) == first


def test_a_damaged_record_is_trained_again_to_the_same_bits(study):
    runner = Runner(study, lambda line: None)
    runner.train_shard(CELL, 0, 0)
    file = study.record_file(CELL, 0)
    digest = read_record(file).digest
    file.write_text(file.read_text()[:200])
    runner.train_shard(CELL, 0, 0)
    assert read_record(file).digest == digest


def test_a_run_that_diverges_is_a_failed_record_and_the_others_go_on(study, monkeypatch):
    run_epoch = Trainer.run_epoch

    def diverge(self, between_steps):
        if self.seed == 0:
            raise TrainingDivergedError("training loss is nan in epoch 1")
        run_epoch(self, between_steps)

    monkeypatch.setattr(Trainer, "run_epoch", diverge)
    file = Runner(study, lambda line: None).train_shard(CELL, 0, 1)
    assert [run["status"] for run in json.loads(file.read_text())["runs"]] == ["failed", "ok"]
    failed = read_record(study.record_file(CELL, 0))
    assert failed.failure.kind == "TrainingDivergedError"
    assert not failed.metrics
    assert "Traceback" in failed.failure.traceback


def test_failing_fast_an_error_of_a_methods_code_stops_the_job_and_diverging_does_not(
    study, monkeypatch
):
    fast = Study(overlay(study.config, {"study": {"fail_fast": True}}, "test"), ROOT)
    assert run_id_of(fast, CELL, 0, "data") == run_id_of(study, CELL, 0, "data")

    def fails(error):
        monkeypatch.setattr(Trainer, "run", lambda self: (_ for _ in ()).throw(error))
        Runner(fast, lambda line: None).train_shard(CELL, 0, 0)

    with pytest.raises(MethodError, match=r"test_runner\.py:\d+: ZeroDivisionError in") as error:
        fails(ZeroDivisionError("by zero"))
    assert "study.fail_fast: false" in error.value.mend
    assert not study.record_file(CELL, 0).exists()
    fails(TrainingDivergedError("training loss is nan"))
    assert read_record(study.record_file(CELL, 0)).status == "failed"


def test_a_loss_that_is_not_finite_stops_the_run(study):
    data = PreparedData.open(study.prepared_folder(CELL.dataset, 0))
    run = Trainer(study.config, data, "deepfm", load("ce"), 0)
    run.model.bias.data.fill_(float("nan"))
    with pytest.raises(TrainingDivergedError, match="nan"):
        run.run()


def test_outputs_that_are_not_finite_stop_the_run_too(study, monkeypatch):
    """The last step of an epoch may be the one that diverges: its loss was finite before it."""
    data = PreparedData.open(study.prepared_folder(CELL.dataset, 0))
    run = Trainer(study.config, data, "deepfm", load("ce"), 0)
    last = run.train.count - 1
    step = Trainer.inner_step

    def poison(self):
        result = step(self)
        if self.progress.steps > last:
            self.model.bias.data.fill_(float("inf"))
        return result

    monkeypatch.setattr(Trainer, "inner_step", poison)
    with pytest.raises(TrainingDivergedError, match="logits are not finite after epoch 1"):
        run.run()


def test_wrong_input_stops_the_job_and_leaves_no_record(study):
    (study.prepared_folder(CELL.dataset, 0) / "labels.npy").unlink()
    with pytest.raises(UserError, match="autoloss prepare"):
        Runner(study, lambda line: None).train_shard(CELL, 0, 1)
    assert not study.cell_folder(CELL).exists()


def test_the_index_has_a_row_per_run_and_refuses_holes_and_strangers(study):
    runner = Runner(study, lambda line: None)
    runner.train_shard(CELL, 0, 1)
    index = build_index(study, [CELL])
    assert list(index["seed"]) == list(index["split"]) == [0, 1]
    assert list(index["test_to_train"]) == [80 / 300] * 2
    assert list(index["stopped_by_limit"]) == [
        e - b < 2 for e, b in zip(index["epochs"], index["best_epoch"], strict=True)
    ]
    assert index["auc"].between(0, 1).all()
    study.record_file(CELL, 1).unlink()
    with pytest.raises(RecordError, match="seed_1"):
        build_index(study, [CELL])
    other = Study(tiny_config(lr=0.5), ROOT)
    Runner(other, lambda line: None).train_seed(
        CELL, 1, PreparedData.open(study.prepared_folder(CELL.dataset, 1))
    )
    with pytest.raises(RecordError, match="the configuration asks for"):
        build_index(study, [CELL])


def test_a_study_may_begin_at_another_seed(tmp_path, monkeypatch):
    """Its runs, on splits of their own, are what they are in a study of more seeds."""
    monkeypatch.chdir(tmp_path)
    keys = {"first_seed": 5, "seeds": 2, "splits": 2, "seeds_per_job": 2}
    study = Study(overlay(tiny_config(), {"study": keys}, "test"), ROOT)
    tiny_splits(study, CELL.dataset, 2)
    assert study.shards() == [(5, 6)]
    Runner(study, lambda line: None).train_shard(CELL, 5, 6)
    index = build_index(study, [CELL])
    assert list(index["seed"]) == list(index["split"]) == [5, 6]
    more = Study(overlay(study.config, {"study": {"seeds": 3, "splits": 3}}, "test"), ROOT)
    tiny_splits(more, CELL.dataset, 2)
    monkeypatch.setattr(Trainer, "run_epoch", lambda self: pytest.fail("trained again"))
    Runner(more, lambda line: None).train_shard(CELL, 5, 6)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    file = tmp_path / "record.json"
    write_text("old", file)
    monkeypatch.setattr(store.os, "replace", lambda *a: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(MachineError, match="disk full"):
        write_text("new", file)
    assert file.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["record.json"]
