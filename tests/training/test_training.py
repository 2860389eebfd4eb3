"""The loop: early stopping, best weights restored, Adam as torch's, learning from planted data."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from autoloss.config import ModelOptions
from autoloss.errors import MethodError
from autoloss.layers.dropout import drawing, dropouts
from autoloss.methods.load import load
from autoloss.seeds import Draw
from autoloss.training.evaluate import Calibrator, judge
from autoloss.training.loop import Trainer
from tests.tiny import tiny_config


def trainer(data, method="ce", seed=0, **training):
    return Trainer(tiny_config(**training), data, "deepfm", load(method), seed)


def test_stops_after_patience_epochs_without_a_better_value_and_restores_the_best(
    tiny, monkeypatch
):
    values = iter([0.6, 0.7, 0.65, 0.7, 0.9])  # a tie is not better
    monkeypatch.setattr(
        "autoloss.training.loop.judge", lambda *a: {"auc": next(values), "logloss": 0.5}
    )
    run = trainer(tiny["binary"], max_epochs=50, patience=2)
    states = []
    while not run.finished:
        run.run_epoch()
        states.append(copy.deepcopy(run.model.state_dict()))
    assert (run.progress.epoch, run.progress.best_epoch) == (4, 2)
    for name, value in run.best.items():
        assert torch.equal(value, states[1][name])


def test_monitoring_logloss_prefers_the_smallest(tiny, monkeypatch):
    values = iter([0.5, 0.4, 0.6, 0.45])
    monkeypatch.setattr(
        "autoloss.training.loop.judge", lambda *a: {"auc": 0.5, "logloss": next(values)}
    )
    run = trainer(tiny["binary"], max_epochs=50, patience=2, monitor="logloss")
    while not run.finished:
        run.run_epoch()
    assert (run.progress.epoch, run.progress.best_epoch) == (4, 2)


def test_reported_validation_metrics_are_those_of_the_best_epoch(tiny):
    run = trainer(tiny["rating"], max_epochs=8)
    metrics = run.run()
    best = run.progress.curves[run.progress.best_epoch - 1]
    assert metrics["validation"]["auc"] == best["auc"]
    assert metrics["validation"]["logloss"] == best["logloss"]
    assert best["auc"] == max(curve["auc"] for curve in run.progress.curves)


@pytest.mark.parametrize("task", ["binary", "rating"])
def test_with_halves_the_half_that_judges_is_not_the_one_that_is_learned_on(tiny, task):
    data = tiny[task]
    run = trainer(data, "darts", validation="halves", max_epochs=1)
    ids, labels = (torch.from_numpy(np.array(rows)) for rows in data.split("validation"))
    torch.testing.assert_close(run.validation.ids, ids[::2])
    torch.testing.assert_close(run.validation.labels, labels[::2])
    metrics = run.run()
    run.model.eval()
    with torch.no_grad():
        logits, tested = (
            run.model(rows.long()).double().numpy()
            for rows in (ids[1::2], torch.from_numpy(np.array(data.split("test")[0])))
        )
    judged = labels[1::2].numpy()
    assert metrics["validation"].items() >= judge(data.task, judged, logits).items()
    calibrated = Calibrator.fit(data.task, judged, logits).logloss(data.split("test")[1], tested)
    assert metrics["test"]["logloss_calibrated"] == calibrated


def test_a_label_of_the_judging_half_moves_no_weight_and_one_of_the_other_does(tiny):
    weights = []
    for changed in (None, 1, 0):
        labels = np.array(tiny["binary"].labels)
        if changed is not None:
            labels[300 + changed : 380 : 2][:20] ^= 1  # of the even or odd rows of validation
        data = replace(tiny["binary"], labels=labels)
        run = trainer(data, "meta_weight_net", validation="halves", max_epochs=1)
        run.run()
        weights.append(run.weights_digest())
    assert weights[0] == weights[1] != weights[2]


@pytest.mark.parametrize("task", ["binary", "rating"])
def test_learns_a_planted_signal(tiny, task):
    run = trainer(tiny[task], max_epochs=60, patience=10, lr=0.01)
    assert run.run()["test"]["auc"] > 0.7


def test_a_plain_loop_with_torchs_adam_gives_the_same_weights(tiny):
    """The same run written by hand, on BCE from torch and the unfused optimizer.

    Without batch norm: a bias before it has no gradient but rounding noise, which Adam scales up.
    """
    plain = ModelOptions(embedding_dim=4, hidden=(8,), batch_norm=False)
    config = tiny_config().model_copy(update={"model": plain})
    run = Trainer(config, tiny["binary"], "deepfm", load("ce"), 0)
    model = copy.deepcopy(run.model)
    optimizer = torch.optim.Adam(model.parameters(), lr=run.options.lr)
    model.train()
    for t in range(5):
        batch = run.train.batch(t)
        with drawing(dropouts(model), Draw.of(t, 0, "dropout", "inner")):
            logits = model(batch.ids)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, batch.labels.float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    run.run_epoch()
    for a, b in zip(run.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_test_rows_cannot_change_what_is_trained_or_chosen(tiny, tmp_path):
    run, other = trainer(tiny["binary"]), trainer(tiny["binary"])
    labels = tiny["binary"].split("test")[1]
    flipped = {"test": (tiny["binary"].split("test")[0], 1 - labels)}

    class Peeked:
        def __init__(self, data):
            self.data = data

        def split(self, name):
            return flipped.get(name) or self.data.split(name)

    other.data = Peeked(other.data)
    first, second = run.run(), other.run()
    assert run.weights_digest() == other.weights_digest()
    assert first["validation"] == second["validation"]
    assert second["test"]["auc"] == pytest.approx(1 - first["test"]["auc"])


def test_judging_uses_running_statistics_and_leaves_training_mode_on(tiny):
    run = trainer(tiny["binary"])
    run.run_epoch()
    run.model.train()
    first = run._predict("test")
    assert run.model.training
    assert judge(run.task, *first) == judge(run.task, *run._predict("test"))


@pytest.mark.parametrize("columns", [1, 3, 5])
def test_weights_that_are_not_one_for_each_candidate_are_an_error(tiny, monkeypatch, columns):
    """Torch would spread a single column over all candidates, and the record would be false."""
    run = trainer(tiny["binary"], "al1")
    weigh = run.method.weigh

    def other(examples, t, role="inner"):
        loss, _ = weigh(examples, t, role)
        return loss, torch.ones(len(examples.labels), columns)

    monkeypatch.setattr(run.method, "weigh", other)
    with pytest.raises(MethodError, match=rf"\[64, {columns}\], expected \[4\]"):
        run.run_epoch()
