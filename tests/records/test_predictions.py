"""Kept test predictions: from them alone a run's metrics follow, to the bit."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from autoloss.errors import DataError, RecordError
from autoloss.records.check import UnsoundError, read_present, sound_run
from autoloss.records.index import build_index
from autoloss.records.predictions import max_bytes, read, read_run, write_predictions
from autoloss.records.schema import Failure
from autoloss.records.store import MAX_BYTES, read_record, write_record
from autoloss.study.cell import Cell
from autoloss.training.loop import Trainer
from autoloss.training.runner import Runner
from tests.studied import CE
from tests.tiny import ROOT


@pytest.mark.parametrize("seed", [0, 1])
def test_two_classes(study, seed):
    kept, record = read_run(study, CE, seed), read_record(study.record_file(CE, seed))
    assert (kept.logits.shape, kept.logits.dtype) == ((80,), np.float32)
    p = 1 / (1 + np.exp(-kept.logits.astype(float)))
    test = record.metrics["test"]
    assert roc_auc_score(kept.labels, kept.logits) == pytest.approx(test["auc"], abs=1e-12)
    assert log_loss(kept.labels, p) == pytest.approx(test["logloss"], abs=1e-12)
    (slope,), (intercept,) = kept.calibration
    p = 1 / (1 + np.exp(-(slope * kept.logits.astype(float) + intercept)))
    assert log_loss(kept.labels, p) == pytest.approx(test["logloss_calibrated"], abs=1e-9)


def test_five_classes(study):
    cell = Cell("ml100k", "deepfm", "ce")
    kept, record = read_run(study, cell, 0), read_record(study.record_file(cell, 0))
    assert kept.logits.shape == (80, 5)
    p = np.exp(kept.logits.astype(float))
    p /= p.sum(axis=1, keepdims=True)
    auc = roc_auc_score(kept.labels, p, multi_class="ovr")
    assert auc == pytest.approx(record.metrics["test"]["auc"], abs=1e-12)
    odds = kept.logits.astype(float) @ kept.calibration[:-1] + kept.calibration[-1]
    p = np.exp(np.column_stack((np.zeros(80), odds)))
    found = log_loss(kept.labels, p / p.sum(axis=1, keepdims=True))
    assert found == pytest.approx(record.metrics["test"]["logloss_calibrated"], abs=1e-9)


def test_each_test_row_has_its_cluster(study):
    kept = read_run(study, CE, 1)
    assert kept.clusters.shape == kept.labels.shape
    assert 1 < len(set(kept.clusters.tolist())) <= 20


def test_what_is_written_is_read_to_the_bit(tmp_path):
    logits = np.random.default_rng(0).normal(size=(100, 5)).astype(np.float32)
    for calibration in (None, np.random.default_rng(1).normal(size=(6, 4))):
        write_predictions(logits.astype(float), calibration, tmp_path / "a.npz")
        kept, of = read(tmp_path / "a.npz")
        assert (kept == logits).all()
        assert (of is None) if calibration is None else (of == calibration).all()
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY"])
def test_what_is_no_file_of_predictions_is_refused(tmp_path, content):
    file = tmp_path / "a.npz"
    file.write_bytes(content)
    with pytest.raises(RecordError, match="holds no predictions"):
        read(file)
    np.savez(file, other=np.zeros(3))
    with pytest.raises(RecordError, match="holds no predictions"):
        read(file)
    file.unlink()
    with pytest.raises(RecordError, match="no such file"):
        read(file)


def test_another_runs_predictions_are_not_taken_for_a_runs(study):
    shutil.copy(study.predictions_file(CE, 1), study.predictions_file(CE, 0))
    with pytest.raises(RecordError, match="not the predictions that the run's record names"):
        read_run(study, CE, 0)


def test_a_run_of_another_split_or_of_a_damaged_one_is_not_read(study):
    split = study.prepared_folder(CE.dataset, 1) / "labels.npy"
    content = split.read_bytes()
    read_run(study, CE, 1)
    split.write_bytes(content[:-4] + bytes([content[-4] ^ 1, *content[-3:]]))  # in its range
    with pytest.raises(DataError, match="expected sha256"):
        read_run(study, CE, 1)
    split.write_bytes(content)
    read_run(study, CE, 1)
    record = read_record(study.record_file(CE, 1))
    write_record(record.model_copy(update={"split": 0}), study.record_file(CE, 1))
    with pytest.raises(RecordError, match="is of split 0, not of split 1"):
        read_run(study, CE, 1)


def test_the_limit_on_a_file_follows_from_the_rows_that_it_must_have(study, tmp_path):
    cell, rows = Cell("ml100k", "deepfm", "ce"), 20_000
    noise = np.random.default_rng(0).integers(0, 2**32, (rows, 5), dtype=np.uint32)
    finite = np.where(noise >> 23 & 0xFF == 0xFF, 0, noise).astype(np.uint32).view(np.float32)
    write_predictions(finite, np.ones((6, 4)), tmp_path / "a.npz")
    size = (tmp_path / "a.npz").stat().st_size
    assert finite.nbytes * 0.9 < size < max_bytes(study, cell, rows) < finite.nbytes * 1.01 + 2**20
    assert max_bytes(study, cell, 4_600_000) > 4_600_000 * 5 * 4 > MAX_BYTES  # paper scale
    assert max_bytes(study, CE, 4_600_000) < 4_600_000 * 4 * 1.1  # of two classes one logit
    limits = {}

    def spy(file, limit=MAX_BYTES):
        limits[file] = limit
        return read_present(file, limit)

    sound_run(study, CE, 0, None, spy)
    kept = study.predictions_file(CE, 0)
    assert limits == {study.record_file(CE, 0): MAX_BYTES, kept: max_bytes(study, CE, 80)}
    with kept.open("r+b") as file:
        file.truncate(max_bytes(study, CE, 80) + 1)
    with pytest.raises(UnsoundError, match="is larger than"):
        sound_run(study, CE, 0, None)


@pytest.mark.parametrize("damage", ["cut", "gone", "another run's"])
def test_a_run_whose_predictions_are_not_what_it_kept_is_trained_again(study, damage):
    file, said = study.predictions_file(CE, 0), []
    before, record = file.read_bytes(), read_record(study.record_file(CE, 0))
    file.unlink()
    if damage == "cut":
        file.write_bytes(before[:-1])
    elif damage == "another run's":
        shutil.copy(study.predictions_file(CE, 1), file)
    Runner(study, said.append).train_shard(CE, 0, 1)
    assert file.read_bytes() == before
    assert read_record(study.record_file(CE, 0)).digest == record.digest
    assert any(f"{CE} seed 0: trained again: " in line for line in said)
    assert any(line.startswith(f"{CE} seed 1: already done") for line in said)


def test_a_run_that_fails_leaves_none_of_an_earlier_run(study, monkeypatch):
    def fails(self):
        raise ValueError("no")

    study.record_file(CE, 0).unlink()
    monkeypatch.setattr(Trainer, "run", fails)
    Runner(study, lambda line: None).train_shard(CE, 0, 0)
    record = read_record(study.record_file(CE, 0))
    assert isinstance(record.failure, Failure)
    assert record.predictions is None
    assert not study.predictions_file(CE, 0).exists()


def test_the_documented_snippet_gives_the_auc_of_the_index(study):
    page = (ROOT / "docs" / "statistics.md").read_text()
    (code,) = re.findall(r"## Another metric.*?```python\n(.*?)```", page, re.DOTALL)
    for there, here in (("laptop", "smoke"), ("seed_103", "seed_1"), ("split_103", "split_1")):
        assert there in code
        code = code.replace(there, here)
    names: dict[str, object] = {}
    exec(code, names)
    row = build_index(study, [CE]).set_index("seed").loc[1]
    assert row["split"] == 1
    assert names["auc"] == pytest.approx(row["auc"], abs=1e-12)
    assert len(names["users"]) == len(names["labels"])
