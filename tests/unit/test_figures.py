"""The figures that are drawn from records: their numbers, and that the CSV is the picture."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from scipy import stats

from autoloss.errors import ConfigError
from autoloss.records.store import read_record
from autoloss.registry import APART, FIGURES
from autoloss.report.figures import drawing, render, surface, write_figure
from autoloss.report.figures.style import COLOURS, MARKERS, PAGE, colour
from autoloss.study import Cell
from autoloss.target import snakemake
from tests.studied import tiny_study, working_in

pytestmark = pytest.mark.xdist_group("studied")  # one worker: the study is made once

FROM_RECORDS = [name for name, groups in FIGURES.items() if groups and not set(groups) & set(APART)]


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
    known = {
        json.loads(file.read_text())["run_id"]
        for file in (drawn.results / "runs").glob("*/*/*/seed_?.json")
    }
    assert set(about["runs"]) <= known


def test_figure_3_is_the_means_and_intervals_of_its_runs(drawn):
    frame = numbers(drawn, "figure_3")
    assert len(frame) == 3 * 3 * 2
    row = frame.query("dataset == 'adult' and method == 'autoloss_frozen' and metric == 'auc'")
    values = [
        record(drawn, "adult", "deepfm", "autoloss_frozen", seed).metrics["test"]["auc"]
        for seed in (0, 1)
    ]
    low, high = stats.t.interval(0.95, 1, np.mean(values), stats.sem(values))
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
    counts = [r.counts[row["bin"]] for r in records]
    observed = [r.observed[row["bin"]] or 0 for r in records]
    assert row["count"] == sum(counts)
    assert row["observed"] == pytest.approx(np.average(observed, weights=counts))


@pytest.mark.parametrize("name", ["gains", "curves", "calibration", "selection", "surface"])
def test_a_figure_of_nothing_is_empty_and_no_error(drawn, name):
    header = (drawn.figures_folder / f"{name}.csv").read_text().splitlines()[0]
    assert render(name, header + "\n")["pdf"].startswith(b"%PDF")


def test_colours_are_one_per_method_and_variants_share_it():
    assert len(set(COLOURS.values())) == len(COLOURS)
    assert len(set(MARKERS.values())) == len(MARKERS)
    assert colour("autoloss_every_3") == colour("autoloss")
    assert colour("autoloss") == COLOURS["autoloss"]


def test_an_unknown_figure_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="figure_3"):
        drawing("figure_33")


def test_a_study_without_a_figures_methods_does_not_have_the_figure():
    assert "gains" not in tiny_study(methods=["autoloss"]).figures()
    assert "figure_1" in tiny_study(methods=["autoloss"]).figures()
