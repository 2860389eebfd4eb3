"""What the report says of numbers: verdicts counted, and the pattern of the paper's."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from autoloss.metrics import METRICS
from autoloss.report.page.outcomes import outcomes
from autoloss.report.page.pattern import Pair
from autoloss.report.published import load_published
from tests.studied import tiny_study
from tests.tiny import ROOT


def comparisons(verdicts):
    """A comparison with CE per verdict, each of another data set."""
    frame = pd.DataFrame({"verdict": verdicts})
    frame["dataset"] = [f"d{k}" for k in range(len(frame))]
    frame = frame.assign(metric="auc", model="deepfm", other="ce", best_other=True)
    return frame.assign(ours="autoloss")


def test_verdicts_are_counted_not_written():
    few = "cannot be significant with 2 seeds: a family of 9 needs 8"
    mixed = ["better", "better", "worse", "no difference shown", few, "not assessable: failed runs"]
    study = tiny_study()
    found = outcomes(study, "table_2", comparisons(mixed))
    assert found.title.endswith(": AutoLoss")
    assert found.summary.startswith(
        "Against CE, AutoLoss is significantly better in 2 of 6 comparisons and significantly "
        "worse in 1; in 1 no difference is shown; 1 had too few seeds for significance; "
        "1 could not be assessed, for failed runs."
    )
    assert [item.text for item in found.grid.rows[0]][:6] == ["CE", "2", "1", "1", "1", "1"]
    raw = comparisons(["worse"] * 6).assign(metric="logloss")
    with_raw = outcomes(study, "table_2", pd.concat([comparisons(mixed), raw]))
    assert with_raw.summary == found.summary  # it says little of losses that are not calibrated
    assert [item.text for item in with_raw.grid.rows[0]][6:8] == ["0", "6"]
    all_won = outcomes(study, "table_2", comparisons(["better"] * 3))
    assert [item.text for item in all_won.grid.rows[-1]][:3] == [
        "the best other of each cell",
        "3",
        "0",
    ]


def test_a_pattern_is_the_order_and_the_signs():
    paper = {"a": 0.80, "b": 0.81, "c": 0.82, "own": 0.83}
    same = Pair(METRICS["auc"], paper, {"a": 0.1, "b": 0.2, "c": 0.3, "own": 0.4}, "own", 0.0)
    assert (same.correlation, same.signs) == (pytest.approx(1.0), (3, 3))
    turned = replace(same, ours={"a": 0.4, "b": 0.3, "c": 0.2, "own": 0.1})
    assert (turned.correlation, turned.signs) == (pytest.approx(-1.0), (0, 3))
    loss = replace(turned, metric=METRICS["logloss"])
    assert loss.signs == (0, 3)  # the paper's losses rise where ours fall
    rough = replace(same, precision=0.006)  # 0.83 against 0.82 is open, 0.81 is not
    assert rough.signs == (2, 2)
    lacking = replace(same, ours={"a": 0.1, "own": 0.4})
    assert (lacking.signs, lacking.correlation != lacking.correlation) == ((1, 1), True)
    assert replace(same, ours={**same.ours, "c": 0.4}).signs == (2, 3)  # a tie is no gain


def test_every_number_of_the_papers_figures_is_there_with_its_source():
    published = load_published(ROOT)
    assert published.value("figure_3", "Avazu", "deepfm", "auc", "autoloss_frozen") == 0.7896
    assert published.value("table_2", "Criteo", "deepfm", "auc", "autoloss") == 0.8092
    by_f = published.figure_4_frequency.of("Criteo", "deepfm")
    assert by_f["auc"][7] == published.value("table_2", "Criteo", "deepfm", "auc", "autoloss")
    assert sorted(by_f["logloss"]) == [1, 3, 7, 10, 13]
    assert published.figure_4_hours.of("Criteo", "deepfm")["hours"]["autoloss"] == 8
    for part in (published.table_1, published.table_2, published.figure_3):
        assert part.source.endswith(("printed", "read off the plot"))


def test_only_a_set_that_stands_for_itself_is_the_papers():
    spec = tiny_study().dataset("ml100k-ctr")
    assert not spec.is_the_papers
    assert spec.model_copy(update={"name": "criteo"}).is_the_papers
