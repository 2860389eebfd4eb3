"""A searched cell that chose one candidate alone is that candidate's run, and is not trained."""

from __future__ import annotations

import pytest

from autoloss.config import overlay
from autoloss.data.load.prepared import PreparedData
from autoloss.records.check import sound_run
from autoloss.records.store import read_record, write_record
from autoloss.search.lab import CellLab
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.training.loop import Trainer
from autoloss.training.runner import Runner
from tests.tiny import ROOT, TASKS, tiny_config, tiny_splits

GRID, CE = (Cell("ml100k", "deepfm", method) for method in ("grid", "ce"))
PLACE = {"seconds", "peak_memory_mb"}  # of a budget: what depends on the machine
ALONE, MIXED, HINGE = ([0.0, 0.0, 0.0, 1.0], [0.0, 0.5, 0.0, 0.5], [0.0, 0.0, 1.0, 0.0])


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of tiny data with five classes, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    study = Study(tiny_config(), ROOT)
    tiny_splits(study, CE.dataset, TASKS["rating"])
    return study


def choose(study, weights, **more):
    """A search that tried `weights` alone."""
    chosen = {"method.weights": weights, **more}
    data = PreparedData.open(study.prepared_folder(GRID.dataset, study.split_of(None)))
    lab = CellLab(study, GRID, data, study.search_file(GRID).with_name("journal.json"))
    lab.train(chosen)
    write_record(lab.record(chosen), study.search_file(GRID))


def train(study, cell):
    Runner(study, lambda line: None).train_shard(cell, 0, 1)
    files = [study.predictions_file(cell, seed) for seed in range(2)]
    records = [read_record(study.record_file(cell, seed)) for seed in range(2)]
    return records, [file.read_bytes() for file in files]


def numbers(record):
    """All of a record but when, where and how fast it was made."""
    content = record.model_dump(exclude={"provenance", "budget"})
    return content, record.budget.model_dump(exclude=PLACE), record.provenance.code


def test_it_has_the_record_and_the_bits_that_its_own_training_gives(study, monkeypatch):
    choose(study, ALONE)
    trained, predicted = train(study, GRID)
    for seed in range(2):
        study.record_file(GRID, seed).unlink()
    train(study, CE)
    monkeypatch.setattr(Trainer, "run_epoch", lambda *_: pytest.fail("trained again"))
    taken, copied = train(study, GRID)
    assert [numbers(record) for record in taken] == [numbers(record) for record in trained]
    assert copied == predicted
    assert all(record.budget.search_trials == 1 for record in taken)
    for seed in range(2):
        hashed = taken[seed].provenance.data_hash
        assert sound_run(study, GRID, seed, hashed) == taken[seed]


@pytest.mark.parametrize(
    ("weights", "more"),
    [(MIXED, {}), (HINGE, {}), (ALONE, {"training.lr": 0.01})],
)
def test_another_choice_is_trained(study, weights, more):
    train(study, CE)
    choose(study, weights, **more)
    taken, _ = train(study, GRID)
    of_ce = [read_record(study.record_file(CE, seed)) for seed in range(2)]
    assert all(a.digest != b.digest for a, b in zip(taken, of_ce, strict=True))


def test_a_candidates_run_of_another_configuration_or_without_predictions_is_not_taken(study):
    other = Study(overlay(study.config, {"training": {"lr": 0.01}}, "test"), ROOT)
    of_other, _ = train(other, CE)
    choose(study, ALONE)
    taken, _ = train(study, GRID)
    assert all(a.digest != b.digest for a, b in zip(taken, of_other, strict=True))
    of_ce, _ = train(study, CE)
    for seed in range(2):
        study.record_file(GRID, seed).unlink()
        study.predictions_file(CE, seed).write_bytes(b"other")
    again, _ = train(study, GRID)
    assert [record.digest for record in again] == [record.digest for record in of_ce]
