"""Kept test predictions: from them alone a run's metrics follow, to the bit."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from autoloss.errors import RecordError
from autoloss.records.index import build_index
from autoloss.records.predictions import read, read_run, write_predictions
from autoloss.records.schema import Failure
from autoloss.records.store import read_record
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
