"""Numbers of tables, recomputed by plain pandas, scipy and scikit-learn.

From the committed runs, as they are and as if they were of one split and of several, and from the
predictions of a run. (Verdicts likewise: tests/claims/test_claims.py.)
"""

from __future__ import annotations

import io
import itertools
import statistics

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score
from sklearn.preprocessing import StandardScaler

from autoloss.methods.load import load
from autoloss.report.frames import read_csv
from autoloss.stats import compare_family, describe
from autoloss.stats.rows import Predicted
from autoloss.study.study import Study
from autoloss.training.loop import Trainer
from tests.tiny import ROOT, tiny_config, tiny_data

REFERENCE = ROOT / "results" / "reference" / "laptop"
OURS = ["autoloss", "autoloss_ce"]
OTHERS = ["focal", "kl", "hinge", "ce", "bohb", "grid", "slf", "darts", "melu"]
PAIRS = [*((own, other) for own in OURS for other in OTHERS), tuple(OURS)]
RISES = {"auc": 1, "logloss": -1, "logloss_calibrated": -1}


CASES = ("as they are", "one split", "a split a seed", "two seeds a split")


def of_case(table, case):
    """Runs with the splits of a case, by a file as `runs.csv` is."""
    if case != CASES[0]:
        split = {"one split": 0 * table["seed"], "two seeds a split": table["seed"] // 2}
        table = table.assign(split=split.get(case, table["seed"]), test_to_train=0.125)
    return read_csv(io.StringIO(table.to_csv(index=False)))


@pytest.fixture(scope="module")
def cells():
    """Two cells of Table 2, both readings of AutoLoss among their methods."""
    table = read_csv(REFERENCE / "runs.csv")
    kept = table["method"].isin([*OURS, *OTHERS]) & table["model"].isin(["deepfm", "ipnn"])
    return table[kept & (table["dataset"] == "ml100k-ctr")]


def by_hand(runs, metric):
    """By model, ours and other: n, gain, deviation, interval, both p; then both corrected."""
    several = "split" in runs and runs["split"].nunique() > 1
    unit, rho = ("split", runs["test_to_train"].iloc[0]) if several else ("seed", 0.0)
    rows = {}
    for model, (own, other) in itertools.product(["deepfm", "ipnn"], PAIRS):
        cell = runs[runs["model"] == model]
        means = cell.groupby(["method", unit])[metric].mean().unstack("method")
        rows[model, own, other] = paired(RISES[metric] * (means[own] - means[other]), rho)
    table = pd.DataFrame(rows, index=["n", "gain", "sd", "low", "high", "p_permutation", "p_t"]).T
    table["p_holm"], table["p_t_holm"] = stepped(table["p_permutation"]), stepped(table["p_t"])
    return table


def paired(differences, rho):
    """n, mean, deviation, interval and p of differences, whose splits overlap by `rho`."""
    d = differences.to_numpy().round(
        13
    )  # significant digits of values from 0.1 to 1, as documented
    n, gain, sd = len(d), d.mean(), d.std(ddof=1)
    signs = np.array(list(itertools.product([1.0, -1.0], repeat=n)))
    p = np.mean(np.abs(signs @ d) >= abs(d.sum()) - 1e-12)
    error, t = sd * np.sqrt(1 / n + rho), stats.t(n - 1)
    half = error * t.isf(0.025)
    p_t = 2 * t.sf(abs(gain) / error) if error else 1.0  # of equal runs
    return [n, gain, sd, gain - half, gain + half, p, p_t]


def stepped(p):
    """Holm: the k-th smallest times (m - k + 1), none below an earlier one, at most 1."""
    ordered = p.sort_values()
    return (ordered * np.arange(len(p), 0, -1)).cummax().clip(upper=1).reindex(p.index)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("metric", RISES)
def test_every_comparison_of_both_readings_is_that_of_plain_scipy(cells, metric, case):
    runs = of_case(cells, case)
    made = compare_family(runs, OURS, [metric])
    assert set(made["comparisons"]) == {2 * len(PAIRS)}
    made = made.set_index(["model", "ours", "other"])
    hand = by_hand(runs, metric).reindex(made.index)
    for column in hand:
        np.testing.assert_allclose(made[column], hand[column], rtol=0, atol=1e-12, err_msg=column)
    clear = (hand["p_holm"] < 0.05) & (hand["p_t_holm"] < 0.05)
    words = np.where(hand["gain"] > 0, "better", "worse")
    possible = 2.0 ** (1 - hand["n"]) * len(hand) < 0.05
    nothing = np.where(possible, "no difference shown", "cannot be significant")
    said = made["verdict"].str.replace(r"(cannot be significant) .*", r"\1", regex=True)
    assert said.to_list() == np.where(clear, words, nothing).tolist()


def test_means_and_deviations_are_those_of_the_runs(cells):
    """As the code makes them, and as the committed table has them."""
    committed = read_csv(REFERENCE / "tables" / "table_2.csv")
    made = describe(cells, list(RISES))
    assert len(made) == 3 * 2 * len(OURS + OTHERS)
    keys, all_runs = ["dataset", "model", "method"], read_csv(REFERENCE / "runs.csv")
    for table in (made, committed):
        for row in table.itertuples():
            cell = all_runs[(all_runs[keys] == [row.dataset, row.model, row.method]).all(axis=1)]
            values = cell.loc[cell["status"] == "ok", row.metric].dropna()
            assert row.n == len(values)
            assert row.mean == pytest.approx(statistics.fmean(values), rel=0, abs=1e-12)
            assert row.sd == pytest.approx(statistics.stdev(values), rel=0, abs=1e-12)


def test_the_committed_map_of_the_regimes_is_that_of_plain_scipy():
    """Every gain over cross-entropy at every point, and Holm over the points of a method."""
    runs = dict(list(read_csv(REFERENCE / "runs.csv").groupby(["dataset", "model", "method"])))
    table = read_csv(REFERENCE / "tables" / "regimes.csv").query("part == 'map'")
    design = Study.load({}, ROOT).regimes
    rows = []
    for row in table.itertuples():
        names = [design.cell_of(design.point(row.point), name) for name in (row.method, "ce")]
        ours, ce = (runs[cell.dataset, cell.model, cell.method].set_index("seed") for cell in names)
        assert ours["split"].is_unique
        rho = max(ours["test_to_train"].max(), ce["test_to_train"].max())
        rows.append(paired(RISES[row.metric] * (ours[row.metric] - ce[row.metric]), rho))
    hand = pd.DataFrame(rows, table.index, ["n", "mean", "sd", "low", "high", "p", "p_t"])
    families = [table["method"], table["metric"]]
    for p in ("p", "p_t"):
        hand[f"{p}_holm"] = hand.groupby(families)[p].transform(stepped)
    for column in hand.columns.drop("sd"):
        np.testing.assert_allclose(table[column], hand[column], atol=1e-12, err_msg=column)
    clear = (hand["p_holm"] < 0.05) & (hand["p_t_holm"] < 0.05)
    assert (table["significant"].astype(bool) == clear).all()
    assert len(table) == 2 * (len(design.cells()) - len(design.points))


# --- from predictions -------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "model"), [(2, "deepfm"), (5, "ipnn")])
def test_auc_and_recalibrated_log_loss_are_those_of_a_runs_predictions(tmp_path, classes, model):
    """By scikit-learn, whose logistic regression without penalty is the recalibration.

    The logits are the trainer's own, in float32 as they are kept.
    """
    data = tiny_data(tmp_path / "data", classes)
    trainer = Trainer(tiny_config(), data, model, load("ce"), 0)
    metrics = trainer.run()["test"]
    (fit_labels, fit_logits), (labels, logits) = map(trainer._predict, ("validation", "test"))
    given = trainer.predictions.astype(np.float32)
    kept = Predicted.by(labels, given, recalibration=trainer.calibration)
    many = {} if classes == 2 else {"multi_class": "ovr", "average": "macro"}
    auc = roc_auc_score(labels, kept.scores, **many)
    assert metrics["auc"] == pytest.approx(auc, abs=1e-6)
    columns = [x.reshape(len(x), -1) for x in (fit_logits, logits)]
    scale = StandardScaler().fit(columns[0])
    fit = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
    fit.fit(scale.transform(columns[0]), fit_labels)
    recalibrated = fit.predict_proba(scale.transform(columns[1]))
    expected = log_loss(labels, recalibrated, labels=range(classes))
    assert metrics["logloss_calibrated"] == pytest.approx(expected, abs=1e-5)
    assert kept.losses.mean() == pytest.approx(expected, abs=1e-5)
