"""The rows of a table, recomputed by plain pandas and scipy from the committed runs."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from autoloss.report.frames import read_csv
from autoloss.stats import compare_family, describe
from tests.tiny import ROOT

REFERENCE = ROOT / "results" / "reference" / "laptop"
OURS = ["autoloss", "autoloss_ce"]
OTHERS = ["focal", "kl", "hinge", "ce", "bohb", "grid", "slf", "darts", "melu"]
PAIRS = [*((own, other) for own in OURS for other in OTHERS), tuple(OURS)]
SIGNS = np.array(list(itertools.product([1.0, -1.0], repeat=12)))
RISES = {"auc": 1, "logloss": -1, "logloss_calibrated": -1}


@pytest.fixture(scope="module")
def runs():
    """Two cells of Table 2, both readings of AutoLoss among their methods."""
    table = read_csv(REFERENCE / "runs.csv")
    kept = table["method"].isin([*OURS, *OTHERS]) & table["model"].isin(["deepfm", "ipnn"])
    return table[kept & (table["dataset"] == "ml100k-ctr")]


def by_hand(runs, metric, test_to_train):
    """By model, ours and other: gain, deviation, interval, both p; then both corrected."""
    rows = {}
    for model, (own, other) in itertools.product(["deepfm", "ipnn"], PAIRS):
        cell = runs[runs["model"] == model].set_index(["method", "seed"])[metric]
        d = RISES[metric] * (cell[own] - cell[other]).sort_index().to_numpy()
        d = d.round(13)  # 13 significant digits of values between 0.1 and 1, as documented
        n, gain, sd = len(d), d.mean(), d.std(ddof=1)
        p = np.mean(np.abs(SIGNS @ d) >= abs(d.sum()) - 1e-12)
        t = stats.t(n - 1, scale=sd * np.sqrt(1 / n + test_to_train))
        half = t.isf(0.025)
        rows[model, own, other] = [gain, sd, gain - half, gain + half, p, 2 * t.sf(abs(gain))]
    table = pd.DataFrame(rows, index=["gain", "sd", "low", "high", "p_permutation", "p_t"]).T
    table["p_holm"], table["p_t_holm"] = stepped(table["p_permutation"]), stepped(table["p_t"])
    return table


def stepped(p):
    """Holm: the k-th smallest times (m - k + 1), none below an earlier one, at most 1."""
    ordered = p.sort_values()
    return (ordered * np.arange(len(p), 0, -1)).cummax().clip(upper=1).reindex(p.index)


@pytest.mark.parametrize("test_to_train", [0.0, 0.125])
@pytest.mark.parametrize("metric", RISES)
def test_every_comparison_of_both_readings_is_that_of_plain_scipy(runs, metric, test_to_train):
    if test_to_train:
        runs = runs.assign(split=runs["seed"], test_to_train=test_to_train)
    made = compare_family(runs, OURS, [metric])
    assert set(made["n"]) == {12}
    assert set(made["comparisons"]) == {2 * len(PAIRS)}
    made = made.set_index(["model", "ours", "other"])
    hand = by_hand(runs, metric, test_to_train).reindex(made.index)
    for column in hand:
        np.testing.assert_allclose(made[column], hand[column], rtol=0, atol=1e-12, err_msg=column)
    clear = (hand["p_holm"] < 0.05) & (hand["p_t_holm"] < 0.05)
    words = np.where(hand["gain"] > 0, "better", "worse")
    assert made["verdict"].to_list() == np.where(clear, words, "no difference shown").tolist()


def test_means_and_deviations_are_those_of_the_runs(runs):
    """As the code makes them, and as the committed table has them."""
    committed = read_csv(REFERENCE / "tables" / "table_2.csv")
    made = describe(runs, list(RISES))
    assert len(made) == 3 * 2 * len(OURS + OTHERS)
    keys, all_runs = ["dataset", "model", "method"], read_csv(REFERENCE / "runs.csv")
    for table in (made, committed):
        for row in table.itertuples():
            cell = all_runs[(all_runs[keys] == [row.dataset, row.model, row.method]).all(axis=1)]
            values = cell.loc[cell["status"] == "ok", row.metric].dropna()
            assert row.n == len(values)
            assert row.mean == pytest.approx(statistics.fmean(values), rel=0, abs=1e-12)
            assert row.sd == pytest.approx(statistics.stdev(values), rel=0, abs=1e-12)
