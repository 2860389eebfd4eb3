"""The figures that are drawn from records: their numbers, and that the CSV is the picture."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from scipy import special, stats

from autoloss.errors import ConfigError
from autoloss.metrics import METRICS
from autoloss.records.store import read_record
from autoloss.report.analysis import read_index
from autoloss.report.catalogue import figures
from autoloss.report.figures import _source, drawing, render, surface, write_figure
from autoloss.report.figures._source import Source
from autoloss.report.figures._style import PAGE, published_style
from autoloss.report.frames import read_csv
from autoloss.report.reference import all_runs
from autoloss.study.cell import Cell
from autoloss.target import snakemake
from tests.studied import tiny_study, working_in

FROM_RECORDS = [name for name, figure in figures().items() if figure.groups and figure.in_all]


@pytest.fixture(scope="module")
def drawn(studied, tmp_path_factory):
    """All figures of the tiny study, drawn once; the study's folder is the current one."""
    folder = tmp_path_factory.mktemp("drawn") / "study"
    shutil.copytree(studied, folder)
    with working_in(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(surface, "FEWEST", 2)  # the tiny validation split has 80 examples
        study = tiny_study()
        for name in FROM_RECORDS:
            list(write_figure(study, name))
        yield study


def numbers(study, name):
    return pd.read_csv(study.figures_folder / f"{name}.csv", keep_default_na=False)


def overlap(study):
    """How much wider intervals of a mean of two seeds are, where these have splits of their own."""
    index = read_index(study, "table_2")
    several = "split" in index and index["split"].nunique() > 1
    return np.sqrt(1 + 2 * index["test_to_train"].iloc[0]) if several else 1.0


def record(study, dataset, model, method, seed):
    return read_record(study.record_file(Cell(dataset, model, method), seed))


@pytest.mark.parametrize("name", FROM_RECORDS)
def test_the_csv_reproduces_the_picture_to_the_byte(drawn, name):
    folder = drawn.figures_folder
    for kind, content in render(name, (folder / f"{name}.csv").read_text()).items():
        assert content == (folder / f"{name}.{kind}").read_bytes()


@pytest.mark.parametrize("name", FROM_RECORDS)
def test_a_page_wide_picture_with_its_runs_beside_it(drawn, name):
    about = json.loads((drawn.figures_folder / f"{name}.json").read_text())
    picture = image.imread(drawn.figures_folder / f"{name}.png")
    assert picture.shape[1] == round(PAGE * 300)
    assert about["command"] == snakemake(drawn, name)
    assert len(set(about["runs"])) == len(about["runs"]) > 0
    assert about["title"]
    assert about["caption"].endswith(".")
    assert "2 seeds" in about["caption"]
    assert "95 % t-interval" in about["caption"]
    assert not re.search(r"[{}]|\b[A-Z]\d\b", about["caption"])  # nothing left open, and no codes
    known = {
        json.loads(file.read_text())["run_id"]
        for file in (drawn.results / "runs").glob("*/*/*/seed_?.json")
    }
    assert set(about["runs"]) <= known


def test_figure_3_is_the_means_and_intervals_of_its_runs(drawn):
    frame = numbers(drawn, "figure_3")
    assert len(frame) == 3 * 3 * 3
    row = frame.query("dataset == 'adult' and method == 'autoloss_frozen' and metric == 'auc'")
    values = [
        record(drawn, "adult", "deepfm", "autoloss_frozen", seed).metrics["test"]["auc"]
        for seed in (0, 1)
    ]
    low, high = stats.t.interval(0.95, 1, np.mean(values), stats.sem(values) * overlap(drawn))
    found = row[["mean", "low", "high"]].to_numpy(dtype=float)[0]
    np.testing.assert_allclose(found, [np.mean(values), low, high])


def test_figure_4_has_the_costs_of_searches_and_every_frequency(drawn):
    frame = numbers(drawn, "figure_4").query("part == 'cost' and quantity == 'passes'")
    budget = record(drawn, "ml100k-ctr", "deepfm", "bohb", 0).budget
    parts = (
        *(budget.forward_examples, budget.backward_examples),
        *(budget.search_forward_examples, budget.search_backward_examples),
    )
    assert all(parts)
    mean = frame.set_index("method")["mean"]
    assert mean["bohb"] == pytest.approx(sum(parts) / 1e6)
    assert mean["autoloss"] > mean["slf"]
    frequency = numbers(drawn, "figure_4").query("part == 'frequency' and quantity == 'auc'")
    assert sorted(frequency["every"].astype(int)) == [1, 3, 7, 10, 13]


def test_the_runs_of_a_reference_are_all_that_figure_4_needs(drawn, tmp_path):
    """Recomputed by plain pandas and scipy, from a file as `runs.csv` is."""
    all_runs(drawn).to_csv(tmp_path / "runs.csv", index=False)
    runs = pd.read_csv(tmp_path / "runs.csv").query("dataset == 'ml100k-ctr' and model == 'deepfm'")
    runs["seconds"] += runs["search_seconds"]
    passes = ("forward_examples", "backward_examples")
    runs["passes"] = runs[[*passes, *(f"search_{key}" for key in passes)]].sum(axis=1) / 1e6
    assert (runs.query("method == 'bohb'")[["search_trials", "search_epochs"]] > 0).all(axis=None)
    for row in numbers(drawn, "figure_4").itertuples():
        values = runs.loc[runs["method"] == row.method, row.quantity]
        mean, half = values.mean(), stats.t.ppf(0.975, 1) * stats.sem(values) * overlap(drawn)
        np.testing.assert_allclose([row.mean, row.low, row.high], [mean, mean - half, mean + half])


@pytest.mark.parametrize("name", ["figure_3", "figure_4", "gains", "curves"])
def test_raw_log_loss_is_not_drawn(drawn, name):
    frame = numbers(drawn, name)
    with published_style():
        axes = drawing(name).draw(read_csv(drawn.figures_folder / f"{name}.csv")).axes
    drawn_labels = {text for axis in axes for text in (axis.get_xlabel(), axis.get_ylabel())}
    raw = METRICS["logloss"].label
    assert not {raw, f"gain, {raw}"} & drawn_labels
    kept = frame.get("metric", frame.get("quantity"))
    assert "logloss" in set(kept) or name == "gains"


@pytest.mark.parametrize("name", ["selection", "surface", "calibration"])
def test_bands_of_shares_are_within_their_range_and_around_the_line(drawn, name):
    frame = read_csv(drawn.figures_folder / f"{name}.csv")
    line = frame["observed" if name == "calibration" else "mean"]
    assert (frame["low"] >= 0).all()
    assert (frame["high"] <= 1).all()
    assert ((frame["low"] <= line + 1e-12) & (line <= frame["high"] + 1e-12)).all()
    assert (frame["low"] < frame["high"]).any()


def test_a_caption_says_how_many_runs_failed(drawn):
    source = Source(drawn, ("figure_3",))
    index = read_index(drawn, "figure_3")
    index.loc[index.index[:2], "status"] = "failed"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_source, "read_index", lambda study, group: index)
        assert len(source.index()) == len(index) - 2
    assert re.fullmatch(
        r"Over 2 seeds( on 2 splits)?\. 2 failed runs are left out\.",
        source.caption("Over {seeds}."),
    )


def over_splits(seeds, splits):
    """Runs of two methods on splits that make most of the difference, each testing on an eighth."""
    random, rows = np.random.default_rng(0), []
    level = random.normal(0.75, 0.01, splits)
    for method, seed in itertools.product(("ce", "autoloss"), range(seeds)):
        values = dict.fromkeys(("auc", "logloss_calibrated"), level[seed % splits])
        values = {key: value + random.normal(0, 0.001) for key, value in values.items()}
        row = {"dataset": "ml100k", "model": "deepfm", "method": method, "seed": seed, **values}
        row |= {"status": "ok", "run_id": f"{method}-{seed}"}
        rows.append(row | {"split": seed % splits, "test_to_train": 0.125})
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("seeds", "splits"), [(12, 12), (12, 6), (12, 1)])
def test_intervals_know_of_splits(drawn, monkeypatch, seeds, splits):
    """Of means and of gains: by plain pandas, a value per split of several."""
    runs = over_splits(seeds, splits)
    monkeypatch.setattr(_source, "read_index", lambda study, group: runs)
    source = Source(drawn, ("table_2",))
    means = source.summarise(source.index(), ["method"], "auc").set_index("method")
    gains = drawing("gains").data(source).query("metric == 'auc'").iloc[0]
    by = "split" if splits > 1 else "seed"
    values = runs.groupby(["method", by])["auc"].mean().unstack(0)
    for found, d in ((means.loc["ce"], values["ce"]), (gains, values["autoloss"] - values["ce"])):
        n, rho = len(d), 0.125 * (splits > 1)
        half = stats.t.ppf(0.975, n - 1) * d.std() * np.sqrt(1 / n + rho)
        numbers = [n, d.mean(), d.mean() - half, d.mean() + half]
        np.testing.assert_allclose(found[["n", "mean", "low", "high"]].astype(float), numbers)
    caption = source.caption("Over {seeds}, {interval}.")
    assert (f" on {splits} splits, " in caption) == ("overlap of splits" in caption) == (splits > 1)


@pytest.mark.parametrize(
    ("failed", "n", "rho"),
    [
        ({0, 3}, 2, 0.125),  # a seed of each split is left
        ({1, 3}, 2, 0.0),  # both of one split are left: nothing overlaps
        ({0, 1, 2}, None, None),  # one alone has no interval
    ],
)
def test_a_gains_interval_is_of_the_pairs_that_are_there(drawn, monkeypatch, failed, n, rho):
    """Seeds 0 to 3 on splits 0, 1, 0, 1: of those left Student's, widened where splits overlap."""
    runs = over_splits(4, 2)
    runs.loc[(runs["method"] == "autoloss") & runs["seed"].isin(failed), "status"] = "failed"
    monkeypatch.setattr(_source, "read_index", lambda study, group: runs)
    gains = drawing("gains").data(Source(drawn, ("table_2",))).query("metric == 'auc'")
    values = runs[~runs["seed"].isin(failed)].pivot(index="seed", columns="method", values="auc")
    d = values["autoloss"] - values["ce"]
    if n is None:
        assert gains.empty
        return
    half = stats.t.ppf(0.975, n - 1) * d.std() * np.sqrt(1 / n + rho)
    numbers = [n, d.mean(), d.mean() - half, d.mean() + half]
    found = gains.iloc[0][["n", "mean", "low", "high"]].astype(float)
    np.testing.assert_allclose(found, numbers, rtol=1e-9)


def test_curves_are_over_all_seeds_after_every_epoch(drawn):
    frame = numbers(drawn, "curves")
    assert (frame["n"].astype(int) == 2).all()
    assert frame["training"].astype(int).between(1, 2).all()


def test_gains_are_paired_with_cross_entropy(drawn):
    frame = numbers(drawn, "gains")
    assert "ce" not in set(frame["method"])
    row = frame.query("dataset == 'ml100k' and method == 'slf' and metric == 'logloss_calibrated'")
    gains = [
        record(drawn, "ml100k", "deepfm", "ce", s).metrics["test"]["logloss_calibrated"]
        - record(drawn, "ml100k", "deepfm", "slf", s).metrics["test"]["logloss_calibrated"]
        for s in (0, 1)
    ]
    assert row["mean"].item() == pytest.approx(np.mean(gains))


def test_selection_shares_sum_to_one_and_the_surface_is_of_the_last_epoch(drawn):
    selection = numbers(drawn, "selection")
    sums = selection.groupby(["dataset", "method", "class", "ease", "epoch"])["mean"].sum()
    np.testing.assert_allclose(sums, 1, atol=1e-5)
    assert set(selection["epoch"]) == {1, 2}
    row = (
        numbers(drawn, "surface").query("dataset == 'ml100k-ctr' and method == 'autoloss'").iloc[0]
    )
    runs = [record(drawn, "ml100k-ctr", "deepfm", "autoloss", seed).weights for seed in (0, 1)]
    label, k, place = row["class"], row["bin"], runs[0].candidates.index(row["candidate"])
    found = [
        run.choices[-1].weights[label][k][place]
        for run in runs
        if run.choices[-1].counts[label][k] >= surface.FEWEST
    ]
    assert len(found) == row["n"]
    assert row["mean"] == pytest.approx(np.mean(found))


def test_calibration_adds_the_seeds_up(drawn):
    frame = numbers(drawn, "calibration").query("dataset == 'ml100k' and method == 'ce'")
    records = [record(drawn, "ml100k", "deepfm", "ce", seed).reliability for seed in (0, 1)]
    row = frame.iloc[0]
    counts = np.array([r.counts[row["bin"]] for r in records])
    observed = np.array([r.observed[row["bin"]] or 0 for r in records])
    assert row["count"] == sum(counts)
    share = np.average(observed, weights=counts)
    assert row["observed"] == pytest.approx(share)
    # Of a ratio of two sums over two seeds: sqrt(2 · sum of squared residuals) / sum of counts.
    error = np.sqrt(2 * np.square(counts * (observed - share)).sum()) / counts.sum()
    half = stats.t.ppf(0.975, 1) * error * overlap(drawn) / (share * (1 - share))
    ends = special.expit(special.logit(share) + half * np.array([-1, 1]))
    np.testing.assert_allclose(row[["low", "high"]].to_numpy(dtype=float), ends)


@pytest.mark.parametrize("name", ["gains", "curves", "calibration", "selection", "surface"])
def test_a_figure_of_nothing_is_empty_and_no_error(drawn, name):
    header = (drawn.figures_folder / f"{name}.csv").read_text().splitlines()[0]
    assert render(name, header + "\n")["pdf"].startswith(b"%PDF")


def test_metadata_choose_a_figures_methods_and_no_list_does():
    """A method of the reader's own is in every figure that shows its kind."""
    study = tiny_study(methods=None)
    mine = replace(study.methods["slf"].info, name="mine", label="Mine")
    alone = replace(study.methods["ce"].info, name="alone", label="Alone")
    for info in (mine, alone):
        study.methods[info.name] = replace(study.methods["slf"], info=info)
    source, learned = Source(study, ("table_2",)), {"slf", "autoloss", "autoloss_ce", "mine"}
    assert set(source.methods(lambda info: info.weights == "per example", ours=False)) == learned
    singles = source.methods(lambda info: info.weights == "one candidate")
    assert set(singles) == {
        "focal",
        "kl",
        "hinge",
        "hinge_logit",
        "ce",
        "alone",
        *study.ours("table_2"),
    }
    assert {"mine", "alone"} <= {*source.methods(lambda info: not info.searches)}
    timed = {cell.method for cell in study.cells("figure_4")}
    assert {"bohb", "slf", "darts", "melu", "autoloss", "autoloss_ce", "mine"} <= timed
    assert not timed & {"ce", "alone"}


def test_an_unknown_figure_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="figure_3"):
        drawing("figure_33")


def test_a_study_without_a_figures_methods_does_not_have_the_figure():
    assert "gains" not in tiny_study(methods=["autoloss"]).figures()
    assert "figure_1" in tiny_study(methods=["autoloss"]).figures()
