"""A file with dates and missing values, its description written by the command, and a run on it."""

import numpy as np
import pandas as pd
import pytest

from autoloss.data.load.prepared import PreparedData
from autoloss.data.new import write_dataset
from autoloss.data.prepare.dataset import prepare
from autoloss.data.specs import load_dataset
from autoloss.methods.load import load
from autoloss.training.loop import Trainer
from tests.tiny import tiny_config

ROWS = 600


@pytest.mark.parametrize("labels", [["no", "yes"], [1, 2, 3]])
def test_a_run_trains_on_it(tmp_path, monkeypatch, labels):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs" / "datasets").mkdir(parents=True)
    random = np.random.default_rng(0)
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(random.integers(0, 200, ROWS), "D")
    table = pd.DataFrame({"day": days, "shop": random.choice(["a", "b", "c", None], ROWS)})
    score = days.day_of_week / 2 + (table["shop"] == "a") + random.normal(size=ROWS) / 2
    bounds = np.quantile(score, np.arange(1, len(labels)) / len(labels))
    table["label"] = np.array(labels)[np.digitize(score, bounds)]
    table.loc[::20, "day"] = pd.NaT
    table.to_csv("visits.csv", index=False, date_format="%d/%m/%Y")
    write_dataset(tmp_path / "visits.csv", "label", None, tmp_path)
    folder = tmp_path / "data" / "prepared" / "visits" / "split_0"
    prepare(load_dataset("visits", tmp_path), tmp_path, {0: folder}, say=lambda _: None)
    data = PreparedData.open(folder)
    assert data.task.classes == len(labels)
    scores = Trainer(tiny_config(max_epochs=5, lr=0.02), data, "deepfm", load("ce"), 0).run()
    assert scores["test"]["auc"] > 0.7  # the label follows from weekday and shop, with noise
