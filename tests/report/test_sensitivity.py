"""The sensitivity study: readings as variants, and its numbers from runs whose truth is known."""

from __future__ import annotations

import io
import re
import shutil
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats

from autoloss.errors import ConfigError
from autoloss.report.figures import render
from autoloss.report.published import load_published
from autoloss.report.readings import nearest, sensitivity_frame
from autoloss.report.render import to_latex, to_markdown
from autoloss.report.tables.sensitivity import sensitivity_table
from autoloss.stats import compare, holm
from autoloss.study import identity
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from tests.tiny import ROOT

SEEDS = 12
PLAN = Study.load({"study": {"seeds": SEEDS}, "statistics": {"resamples": 200}}, ROOT)


def runs(study: Study = PLAN) -> pd.DataFrame:
    """Every cell's runs: noise around a mean of the paper's own table; `xi_zero` gains .01 AUC."""
    published, rows = load_published(ROOT).table_2, []
    for cell in study.cells("sensitivity"):
        base = study.base(cell.method)
        paper = published.of(study.dataset(cell.dataset).stands_for, cell.model)
        random = np.random.default_rng(zlib.crc32(str(cell).encode()))
        better = 0.01 if cell.method == "autoloss_under_xi_zero" else 0.0
        for seed in range(SEEDS):
            wobble = 1e-6 * random.normal()
            rows.append(
                {"dataset": cell.dataset, "model": cell.model, "method": cell.method, "seed": seed}
                | {"status": "ok", "auc": paper["auc"][base] + better + wobble}
                | dict.fromkeys(("logloss", "logloss_calibrated"), paper["logloss"][base] + wobble)
                | {"auc_weighted": 0.5 + wobble if cell.dataset == "ml100k" else np.nan}
            )
    return pd.DataFrame(rows)


def row_of(frame: pd.DataFrame, **keys: str) -> pd.Series:
    (row,) = [row for _, row in frame.iterrows() if all(row[k] == v for k, v in keys.items())]
    return row


def plan(root: Path) -> None:
    """What the workflow asks before anything is trained."""
    study = Study.load({}, root)
    for cell in study.cells("sensitivity"):
        identity.run_key(study, cell)


def test_a_reading_changes_its_keys_and_no_other():
    usual = identity.run_config(PLAN, Cell("ml100k", "deepfm", "slf"))
    changed = identity.run_config(PLAN, Cell("ml100k", "deepfm", "slf_under_gamma_5"))
    assert changed["losses"].pop("focal_gamma") == 5.0
    assert usual["losses"].pop("focal_gamma") == 2.0
    assert changed == usual
    tau = identity.run_config(PLAN, Cell("ml100k", "deepfm", "autoloss_under_tau_by_step"))[
        "method"
    ]
    assert (tau["tau_unit"], tau["tau_slope"]) == ("step", 0.00005)
    assert PLAN.label("autoloss_under_xi_zero") == "AutoLoss (ξ = 0)"


def test_every_reading_differs_from_what_is_built_and_from_every_other():
    variants = [c for c in PLAN.cells("sensitivity") if PLAN.base(c.method) != c.method]
    assert len({identity.run_key(PLAN, cell) for cell in variants}) == len(variants)
    for cell in variants:
        built = Cell(cell.dataset, cell.model, PLAN.base(cell.method))
        assert identity.run_config(PLAN, cell) != identity.run_config(PLAN, built)


def test_all_does_without_it():
    assert not {c.method for c in PLAN.all_cells()} & {
        name for reading in PLAN.sensitivity.readings for name in reading.variants()
    }
    assert "sensitivity" not in PLAN.figures()


def test_changes_gains_and_their_p_are_those_of_the_paired_comparison():
    index = runs()
    frame = sensitivity_frame(PLAN, index)
    row = row_of(frame, dataset="ml100k-ctr", metric="auc", reading="xi_zero")
    values = index[index["dataset"] == "ml100k-ctr"].pivot(
        index="seed", columns="method", values="auc"
    )
    changed = values["autoloss_under_xi_zero"]
    expected = compare(changed, values["autoloss"], higher_is_better=True)
    assert (row["mean"], row["low"], row["high"]) == (expected.gain, expected.low, expected.high)
    assert row["p"] == 2 / 2**SEEDS
    assert row["over_ce"] == pytest.approx((changed - values["ce"]).mean(), abs=1e-12)
    of_auc = frame[frame["metric"] == "auc"]
    assert row["p_t"] == expected.p_t
    for p in ("p", "p_t"):
        corrected = holm(of_auc[p].to_numpy(dtype=float))
        assert of_auc[f"{p}_holm"].to_numpy() == pytest.approx(corrected, nan_ok=True)


def test_changes_over_splits_are_corrected_for_their_overlap():
    index = runs()
    index = index.assign(split=index["seed"], test_to_train=0.125)
    row = row_of(
        sensitivity_frame(PLAN, index), dataset="ml100k-ctr", metric="auc", reading="xi_zero"
    )
    values = index[index["dataset"] == "ml100k-ctr"].pivot(
        index="seed", columns="method", values="auc"
    )
    d = values["autoloss_under_xi_zero"] - values["autoloss"]
    half = stats.t.isf(0.025, SEEDS - 1) * d.std() * np.sqrt(1 / SEEDS + 0.125)
    assert row["high"] - row["mean"] == pytest.approx(half)
    notes = sensitivity_table(PLAN, index).notes
    assert any(f"on {SEEDS} splits of the rows" in note for note in notes)
    assert any("The sign-flip test is not: it is exact where splits" in note for note in notes)
    assert notes[0].startswith("Published protocol: ")
    assert not any("splits" in note for note in sensitivity_table(PLAN, runs()).notes)


@pytest.mark.parametrize("metric", ["logloss", "logloss_calibrated"])
def test_log_loss_counts_as_a_gain_where_it_falls(metric):
    """And its order is compared with that of the paper's log loss, which is raw."""
    index = runs()
    changed = index["method"] == "autoloss_under_attached"
    index.loc[changed, metric] -= 0.1
    frame = sensitivity_frame(PLAN, index)
    row = row_of(frame, dataset="ml100k", metric=metric, reading="attached")
    assert row["mean"] == pytest.approx(0.1, abs=1e-5)
    usual = row_of(frame, dataset="ml100k", metric=metric, reading="default")
    assert usual["order"] == pytest.approx(1.0)


def test_the_papers_own_numbers_have_its_order_and_a_reversed_world_the_reverse():
    index = runs()
    frame = sensitivity_frame(PLAN, index)
    usual = frame[(frame["reading"] == "default") & (frame["metric"] == "auc")]
    assert usual["order"].to_numpy() == pytest.approx(1.0)
    frame = sensitivity_frame(PLAN, index.assign(auc=1 - index["auc"]))
    usual = frame[(frame["reading"] == "default") & (frame["metric"] == "auc")]
    assert usual["order"].to_numpy() == pytest.approx(-1.0)


def test_the_order_is_spearmans_of_the_means_under_the_reading():
    index, paper = runs(), load_published(ROOT).table_2.of("Criteo", "deepfm")["auc"]
    sunk = index["method"].isin(["slf_under_gamma_5", "focal_under_gamma_5"])
    index.loc[sunk, "auc"] -= 0.1
    row = row_of(
        sensitivity_frame(PLAN, index), dataset="ml100k-ctr", metric="auc", reading="gamma_5"
    )
    means = index[index["dataset"] == "ml100k-ctr"].groupby("method")["auc"].mean()
    (touched,) = (one for one in PLAN.sensitivity.readings if one.name == "gamma_5")
    ours = [means[touched.under(method)] for method in PLAN.sensitivity.order]
    theirs = [paper[method] for method in PLAN.sensitivity.order]
    assert row["order"] == pytest.approx(stats.spearmanr(ours, theirs).statistic)
    assert row["order_change"] == pytest.approx(row["order"] - 1)


def test_the_nearest_reading_is_named_and_one_of_a_single_data_set_is_not():
    index = runs()
    built = index["method"].isin(["slf", "autoloss"])
    index.loc[built, "auc"] -= 0.2  # as built, and wherever these two are as built
    index["auc_weighted"] = index["auc"].where(index["dataset"] == "ml100k") + built * 0.2
    frame = sensitivity_frame(PLAN, index)
    label, found, usual = nearest(frame)
    assert label in {
        "candidates normalised",
        "KL with hard labels",
        "focal γ = 1",
        "focal γ = 5",
    } | {"hinge on logits"}
    assert found == pytest.approx(1.0)
    assert usual < 0.5


def test_a_failed_run_leaves_its_reading_without_a_test():
    index = runs()
    failed = (index["method"] == "autoloss_under_xi_zero") & (index["seed"] == 3)
    index.loc[failed, ["auc", "logloss", "logloss_calibrated"]] = np.nan
    index.loc[failed, "status"] = "failed"
    frame = sensitivity_frame(PLAN, index)
    row = row_of(frame, dataset="ml100k", metric="auc", reading="xi_zero")
    assert row["n"] == SEEDS - 1
    assert row[["mean", "p", "over_ce", "order"]].isna().all()
    other = row_of(frame, dataset="ml100k", metric="auc", reading="attached")
    assert not np.isnan(other["p"])


def test_table_and_figure_show_every_reading():
    table = sensitivity_table(PLAN, runs())
    readings = PLAN.sensitivity.readings
    of_binary = [reading for reading in readings if reading.auc == "macro"]  # has no average
    assert [len(grid.rows) - 1 for grid in table.grids] == [len(of_binary), len(readings)]
    text = to_markdown(table)
    assert "| [ξ = 0](/docs/deviations.md#m8) | **+0.0100 [" in text
    shown = [name for _, name in table.grids[0].columns]
    assert shown == ["change", "gain over CE", "rank correlation", "change", "gain over CE"]
    assert {top for top, _ in table.grids[0].columns} == {"AUC", "Log loss, recal."}
    assert set(table.long["metric"]) == {"auc", "logloss_calibrated", "logloss"}
    texts = [item.text for grid in table.grids for row in grid.rows for item in row]
    assert not re.search(r"\b[A-Z]\d+\b|ρ", " ".join([*texts, *table.notes]))  # no codes
    assert "\\begin{tabular}" in to_latex(table, "sensitivity")
    drawn = render("sensitivity", table.long.to_csv(index=False))
    assert drawn["png"].startswith(b"\x89PNG")
    again = render(
        "sensitivity",
        pd.read_csv(io.StringIO(table.long.to_csv(index=False)), keep_default_na=False).to_csv(
            index=False
        ),
    )
    assert again["pdf"] == drawn["pdf"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"order": ["ce", "slf", "autolos"]}, "did you mean 'autoloss'"),
        ({"model": "deepfn"}, "did you mean 'deepfm'"),
        ({"readings": [{"name": "a", "choice": "M1", "label": "a"}]}, "give `set`"),
        (
            {"readings": [{"name": "a", "choice": "M1", "label": "a", "set": {"x": 1}}] * 2},
            "appears twice",
        ),
        (
            {
                "readings": [
                    {"name": "a", "choice": "M1", "label": "", "set": {"losses": {"gama": 1}}}
                ]
            },
            "gama",
        ),
    ],
)
def test_a_wrong_file_is_refused_with_its_key(tmp_path, change, message):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    file = tmp_path / "configs" / "sensitivity.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **change}))
    with pytest.raises(ConfigError, match=message):
        plan(tmp_path)
