"""Nothing that trains draws from torch's own generators, whatever it draws by."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from autoloss.errors import ConfigError
from autoloss.layers.dropout import Dropout
from autoloss.methods.load import load
from autoloss.models import build_model
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.training import loop
from autoloss.training.loop import Trainer
from autoloss.training.runner import Runner
from tests.tiny import ROOT, tiny_config, tiny_splits

HERE = re.escape(__file__)


class Noisy(nn.Module):
    """A model, and something done to its logits."""

    def __init__(self, model, change):
        super().__init__()
        self.model, self.change = model, change

    def forward(self, ids):
        return self.change(self.model(ids), self.training)


class Attending(nn.Module):
    """Logits that attend to each other."""

    def __init__(self, dropout):
        super().__init__()
        self.attention = nn.MultiheadAttention(1, 1, dropout=dropout)

    def forward(self, logits, training):
        x = logits[:, None]
        return self.attention(x, x, x, need_weights=False)[0][:, 0]


DRAWS = {
    "F.dropout": lambda: lambda logits, training: F.dropout(logits, 0.1, training),
    "torch.rand": lambda: lambda logits, training: logits + torch.rand(()),
    "attention": lambda: Attending(0.1),
}


def changed(monkeypatch, change):
    """Every model that is built has its logits changed."""

    def build(*given):
        return Noisy(build_model(*given), change)

    monkeypatch.setattr(loop, "build_model", build)


def trainer(data, method="ce"):
    return Trainer(tiny_config(), data, "deepfm", load(method), 0)


@pytest.mark.parametrize("how", DRAWS)
def test_a_model_that_draws_by_torch_is_refused_at_its_line_in_the_first_step(
    how, tiny, monkeypatch
):
    changed(monkeypatch, DRAWS[how]())
    run = trainer(tiny["binary"])
    with pytest.raises(ConfigError, match=rf"^{HERE}:\d+: draws from torch's own") as error:
        run.run()
    assert "autoloss.layers.dropout.Dropout" in error.value.mend
    assert run.progress.epoch == 0
    assert run.progress.steps <= 2


def test_what_draws_nothing_or_by_place_or_by_a_generator_of_its_own_trains(tiny, monkeypatch):
    class ByPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.dropout, self.attention = Dropout(0.2), Attending(0.0)

        def forward(self, logits, training):
            own = torch.Generator().manual_seed(1)
            noise = torch.rand(len(logits), generator=own)
            return self.attention(self.dropout(logits + noise), training)

    changed(monkeypatch, ByPlace())
    assert "test" in trainer(tiny["binary"]).run()


def test_a_method_that_draws_by_torch_is_refused_at_its_line(tiny):
    run = trainer(tiny["binary"], "al1")
    vector = run.method.get_buffer("vector")
    run.method.weigh = lambda examples, t: (examples.logits.sum() * 0, vector + 0 * torch.rand(1))
    with pytest.raises(ConfigError, match=rf"^{HERE}:\d+: draws from torch's own"):
        run.run()


@pytest.mark.parametrize("where", ["outer step", "evaluation"])
def test_what_draws_after_the_first_step_is_refused_at_the_epochs_end(where, tiny, monkeypatch):
    def in_evaluation(logits, training):
        return logits if training else logits + torch.rand(())

    if where == "evaluation":
        changed(monkeypatch, in_evaluation)
    run = trainer(tiny["binary"], "autoloss")
    if where == "outer step":  # the first of them is in the second epoch
        problem = run.method.outer_problem
        run.method.outer_problem = lambda step: (torch.rand(1), problem(step))[1]
    with pytest.raises(ConfigError, match="evaluation of deepfm under autoloss: draws"):
        run.run()
    assert len(run.progress.curves) == (2 if where == "outer step" else 1)


def test_nothing_is_recorded_of_a_run_that_draws(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study, cell = Study(tiny_config(), ROOT), Cell("ml100k-ctr", "deepfm", "ce")
    tiny_splits(study, cell.dataset, 2)
    changed(monkeypatch, DRAWS["F.dropout"]())
    with pytest.raises(ConfigError, match="draws from torch's own"):
        Runner(study, lambda line: None).train_shard(cell, 0, 0)
    assert not study.record_file(cell, 0).exists()
    assert not study.shard_file(cell, 0, 0).exists()
