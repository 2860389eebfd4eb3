"""What `selection` and `surface` make of the choices in records, by hand."""

from __future__ import annotations

from types import SimpleNamespace

import pandas as pd
import pytest

from autoloss.folder import entries
from autoloss.records.schema import Choice
from autoloss.report.figures import _style
from autoloss.report.figures._choices import choices_of, shared
from autoloss.report.figures._source import Source
from autoloss.study.study import Study
from tests.tiny import ROOT, tiny_config


@pytest.mark.parametrize(
    ("selection", "weights", "expected"),
    [
        ([1, 0, 0, 0], [0.25, 0.25, 0.25, 0.25], [0.25, 0.25, 0.25, 0.25]),
        ([0.9, 0, 0.1, 0], [0.4, 0.4, 0.1, 0.1], [0.45, 0.45, 0.1, 0]),
        ([0.7, 0.3, 0, 0], [0.6, 0.4, 0, 0], [0.7, 0.3, 0, 0]),
        ([0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]),  # a bin without examples
    ],
)
def test_a_tie_is_shared_by_those_whose_weights_are_alike(selection, weights, expected):
    choice = Choice(counts=[[3]], weights=[[weights]], selection=[[selection]])
    assert shared(choice) == [[pytest.approx(expected)]]


def test_a_method_without_choices_is_said_and_its_runs_are_not_listed(monkeypatch):
    source = Source(Study(tiny_config(), ROOT))
    choice = Choice(counts=[[3]], weights=[[[1.0, 0.0]]], selection=[[[1.0, 0.0]]])
    records = {
        "autoloss": SimpleNamespace(candidates=("ce", "kl"), choices=[choice]),
        "l2rw": SimpleNamespace(candidates=("ce", "kl"), choices=[]),
    }

    def index(names):
        source._taken |= dict.fromkeys(records)
        model = source.study.config.study.models[0]
        return pd.DataFrame({"run_id": [*records], "model": model, "dataset": "ml100k-ctr"})

    monkeypatch.setattr(source, "index", index)
    monkeypatch.setattr(
        source,
        "records",
        lambda index: (
            SimpleNamespace(run_id=run, method=run, dataset="ml100k-ctr", seed=0, weights=weights)
            for run, weights in records.items()
        ),
    )
    frame = choices_of(source, "selection", last=True)
    assert set(frame["method"]) == {"autoloss"}
    assert source.runs == ["autoloss"]
    assert source.caption("Shares.") == (
        "Shares. L2RW is left out: it weighs only examples that it trains on."
    )


def test_a_loss_without_a_method_of_its_own_is_called_by_its_label(monkeypatch):
    losses = entries("losses")
    monkeypatch.setattr(
        _style, "entries", lambda room: {**losses, "brier": SimpleNamespace(label="Brier")}
    )
    assert _style.loss_label("brier") == "Brier"
    assert _style.loss_label("ce") == "CE"
    assert _style.loss_label("gone") == "gone"
