"""Where loss search pays, from runs whose truth is known: gains, predictions, the page."""

from __future__ import annotations

import io
import json
import shutil
import zlib
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from autoloss.cli import app
from autoloss.errors import RecordError
from autoloss.report.figures import render
from autoloss.report.figures.regimes import draw
from autoloss.report.regimes import FAILED, HELD, OPEN, map_frame, predictions_frame
from autoloss.report.render import to_latex, to_markdown
from autoloss.report.tables.regimes import regimes_table
from autoloss.report.when_it_pays import FULL_SIZE, TABLE, when_it_pays_page
from autoloss.stats import compare, holm
from autoloss.study.regimes import Expectation, Prediction
from autoloss.study.study import Study
from tests.tiny import ROOT

SEEDS, OVERLAP = 12, 0.125
PLAN = Study.load({}, ROOT)
POINTS = ("clean", "region_10", "region_20", "region_40", "everywhere_20")


def with_design(**update):
    """The study with some of its points, and other predictions."""
    study = Study.load({}, ROOT)
    points = tuple(p for p in study.regimes.points if p.name in POINTS)
    design = study.regimes.model_copy(update={"points": points, "predictions": (), **update})
    vars(study)["regimes"] = design
    return study


def expecting(**keys):
    expect = Expectation(**{"of": "autoloss_ce", "over": "ce", "at": ("region_20",), **keys})
    return Prediction(name="one", statement="So it is", because="so", expect=(expect,))


def runs(study, gain, noise=1e-4, overlap=OVERLAP):
    """Every cell's runs: AUC .8, with the seed's own part and the gain of (point, method)."""
    rows = []
    for point in study.regimes.points:
        for method in study.regimes.run_at(point):
            cell = study.regimes.cell_of(point, method)
            random = np.random.default_rng(zlib.crc32(f"{point.name} {method}".encode()))
            for seed in study.seeds:
                wobble = np.sin(seed) / 100 + (noise * random.normal() if method != "ce" else 0)
                value = 0.8 + wobble + gain.get((point.name, method), 0.0)
                rows.append(
                    {"dataset": cell.dataset, "model": cell.model, "method": cell.method}
                    | {"seed": seed, "split": seed, "test_to_train": overlap, "status": "ok"}
                    | {"auc": value, "logloss": 1 - value, "logloss_calibrated": 1 - value}
                    | {"weight_focal": 0.9 + noise * random.normal(), "run_id": f"{cell}{seed}"}
                    | {"weight_scaled": 0.9 + wobble, "weight_opposite": 0.01 + wobble / 10}
                    | {"weight_ranking": 0.1 + wobble}
                )
    return pd.DataFrame(rows).drop_duplicates(["dataset", "model", "method", "seed"])


def row(frame, **keys):
    (found,) = [r for r in frame.to_dict("records") if all(r[k] == v for k, v in keys.items())]
    return found


def test_a_gain_is_the_paired_comparison_with_the_overlap_of_the_splits():
    study = with_design()
    index = runs(study, {("region_20", "autoloss_ce"): 0.002})
    frame = map_frame(study, index)
    found = row(frame, point="region_20", method="autoloss_ce", metric="auc")
    at = index[index["dataset"] == "clicks_at_region_20"]
    ours, ce = (at[at["method"] == m].sort_values("seed") for m in ("autoloss_ce", "ce"))
    expected = compare(
        ours["auc"].to_numpy(),
        ce["auc"].to_numpy(),
        higher_is_better=True,
        splits=ours["split"],
        test_to_train=OVERLAP,
    )
    for key, value in (("mean", expected.gain), ("low", expected.low), ("p_t", expected.p_t)):
        assert found[key] == pytest.approx(value, rel=1e-6)
    assert found["p"] == 2 / 2**SEEDS
    assert found["significant"]
    assert found["mean"] > found["resolved"] > 0
    lost = row(frame, point="region_20", method="autoloss_ce", metric="logloss_calibrated")
    assert lost["mean"] == pytest.approx(found["mean"])


def test_a_family_is_the_points_of_a_method_by_a_metric():
    study = with_design()
    frame = map_frame(study, runs(study, {}))
    own = frame[(frame["method"] == "autoloss") & (frame["metric"] == "auc")]
    assert [*own["point"]] == [*POINTS]
    for p in ("p", "p_t"):
        assert own[f"{p}_holm"].to_numpy() == pytest.approx(holm(own[p].to_numpy()))


def test_the_clean_part_is_paired_with_what_was_trained_on_the_flips():
    study = with_design()
    index = runs(study, {("region_20", "clean_part"): 0.003})
    found = row(map_frame(study, index), point="region_20", method="clean_part", metric="auc")
    assert found["mean"] == pytest.approx(0.003, abs=2e-4)
    assert found["label"] == "CE, clean part"
    # Fewer of its rows are left to train on: the interval has the larger overlap of the two.
    wider = index.assign(
        test_to_train=index["test_to_train"].where(
            ~index["dataset"].str.endswith("_clean"), 2 * OVERLAP
        )
    )
    again = row(map_frame(study, wider), point="region_20", method="clean_part", metric="auc")
    ratio = (again["high"] - again["mean"]) / (found["high"] - found["mean"])
    assert ratio == pytest.approx(((1 / SEEDS + 0.25) / (1 / SEEDS + 0.125)) ** 0.5)


@pytest.mark.parametrize(
    ("keys", "gain", "noise", "outcome"),
    [
        ({"above": 0.0}, 0.002, 1e-4, HELD),
        ({"above": 0.0}, -0.002, 1e-4, FAILED),
        ({"above": 0.0}, 0.0, 1e-3, OPEN),
        ({"above": 0.001}, 0.002, 1e-4, HELD),
        ({"above": 0.003}, 0.002, 1e-4, FAILED),
        ({"below": 0.001}, 0.0, 1e-4, HELD),
        ({"below": 0.001}, 0.002, 1e-4, FAILED),
        ({"below": 0.001}, 0.001, 1e-3, OPEN),
        ({"above": 0.0, "than": "region_10"}, 0.002, 1e-4, HELD),
        ({"above": 0.0, "than": "region_10"}, -0.002, 1e-4, FAILED),
        ({"above": 0.0, "metric": "logloss_calibrated"}, 0.002, 1e-4, HELD),
        ({"over": None, "candidate": "focal", "above": 0.5}, 0.0, 1e-4, HELD),
        ({"over": None, "candidate": "focal", "below": 0.5}, 0.0, 1e-4, FAILED),
    ],
)
def test_a_prediction_comes_true_fails_or_stays_open(keys, gain, noise, outcome):
    study = with_design(predictions=(expecting(**keys),))
    index = runs(study, {("region_20", "autoloss_ce"): gain}, noise)
    frame = predictions_frame(study, index)
    assert [*frame["outcome"]] == [outcome]
    assert [*frame["as_a_whole"]] == [outcome]


def test_one_that_fails_in_part_has_failed_and_what_it_found_is_in_its_own_units():
    both = expecting(at=("region_20", "region_40"), above=0.001)
    study = with_design(predictions=(both,))
    gains = {("region_20", "autoloss_ce"): 0.002, ("region_40", "autoloss_ce"): -0.002}
    frame = predictions_frame(study, runs(study, gains))
    assert [*frame["outcome"]] == [HELD, FAILED]
    assert {*frame["as_a_whole"]} == {FAILED}
    assert frame["mean"].to_numpy() == pytest.approx([0.002, -0.002], abs=2e-4)


def test_a_prediction_has_the_largest_p_of_its_parts_and_holm_is_over_predictions():
    sure = expecting(at=("region_40",), above=0.0)
    two = expecting(at=("region_20", "region_40"), above=0.0)
    named = {"one": two, **{f"n{k}": sure for k in range(4)}}
    every = tuple(p.model_copy(update={"name": name}) for name, p in named.items())
    gains = {("region_20", "autoloss_ce"): 0.001, ("region_40", "autoloss_ce"): 0.01}
    index = runs(with_design(), gains, noise=1e-3)
    frame = predictions_frame(with_design(predictions=every), index)
    one = frame[frame["prediction"] == "one"]
    for p in ("p", "p_t"):
        largest = frame.groupby("prediction", sort=False)[p].max()
        corrected = dict(zip(largest.index, holm(largest.to_numpy()), strict=True))
        assert [*frame[f"{p}_holm"]] == [corrected[name] for name in frame["prediction"]]
    # Its weaker part is shown by itself, and among more predictions that are as weak no more.
    assert [*one["outcome"]] == [HELD, HELD]
    assert {*one["as_a_whole"]} == {HELD}
    weak = tuple(two.model_copy(update={"name": f"w{k}"}) for k in range(40))
    many = predictions_frame(with_design(predictions=weak), index)
    assert {*many["outcome"]} == {HELD}
    assert {*many["as_a_whole"]} == {OPEN}


def test_where_a_run_failed_nothing_is_said():
    study = with_design(predictions=(expecting(above=0.0),))
    index = runs(study, {("region_20", "autoloss_ce"): 0.002})
    hit = (index["dataset"] == "clicks_at_region_20") & (index["method"] == "autoloss_ce")
    index.loc[hit & (index["seed"] == study.seeds[3]), ["status", "auc"]] = ["failed", np.nan]
    frame = map_frame(study, index)
    assert pd.isna(row(frame, point="region_20", method="autoloss_ce", metric="auc")["mean"])
    assert [*predictions_frame(study, index)["outcome"]] == [OPEN]


def test_of_a_candidate_that_the_study_has_not_nothing_is_said():
    study = with_design(predictions=(expecting(over=None, candidate="focal", above=0.5),))
    index = runs(study, {}).drop(columns="weight_focal")
    assert [*predictions_frame(study, index)["outcome"]] == [OPEN]


@pytest.fixture(scope="module")
def whole():
    """The table of the whole design's runs."""
    gains = {("region_20", "autoloss_ce"): 0.002, ("region_40", "l2rw"): -0.002}
    return regimes_table(PLAN, runs(PLAN, gains))


def test_the_table_has_every_prediction_and_every_point(whole):
    text = to_markdown(whole)
    for prediction in PLAN.regimes.predictions:
        assert prediction.statement.split(",")[0] in text
    assert f"Of {len(PLAN.regimes.predictions)} predictions" in text
    by_method = next(grid for grid in whole.grids if grid.corner == "method")
    gained = {items[0].text: [item.text for item in items[1:]] for items in by_method.rows}
    assert gained["AutoLoss (upper CE)"][1] == "1"
    assert gained["L2RW"][3] == "1"
    assert "\\begin{tabular}" in to_latex(whole, "regimes")
    assert {*whole.long["part"]} == {"map", "prediction"}


def shown(table):
    """Of every gain in the table's grids of them, how often it is there: by method and place."""
    seen = Counter()
    for grid in table.grids:
        if not grid.caption.startswith("Gain over CE, AUC, "):
            continue
        assert grid.rows
        assert grid.columns
        for name, *items in grid.rows:
            texts = [item.text for item in items]
            if "at one point" in grid.caption:
                seen[texts[1], texts[0], name.text] += texts[2] != "–"
            else:
                data = grid.caption.rpartition(", ")[2]
                for (_, method), text in zip(grid.columns, texts, strict=True):
                    seen[method, data, name.text] += text != "–"
    return +seen


def test_every_gain_that_was_run_is_in_the_table_once(whole):
    gains = whole.long[(whole.long["part"] == "map") & (whole.long["metric"] == "auc")]
    places = zip(gains["label"], gains["data"], gains["what"], strict=True)
    assert shown(whole) == Counter(places)
    assert ("AutoLoss (ξ × 10)", "clicks") in {place[:2] for place in shown(whole)}


def test_one_point_alone_has_its_methods_in_the_list():
    point = next(p for p in PLAN.regimes.points if p.name == "region_40")
    study = with_design(points=(point,), predictions=(expecting(at=("region_40",), above=0.0),))
    table = regimes_table(study, runs(study, {("region_40", "l2rw"): -0.002}))
    assert len(shown(table)) == len(PLAN.regimes.run_at(point)) - 1
    listed = {row[2].text: row for row in table.grids[-1].rows}
    assert listed["L2RW"][0].text == point.label
    assert listed["L2RW"][3].text.startswith("-0.002")
    assert listed["L2RW"][3].bold
    assert not listed["SLF-style"][3].bold


def test_a_design_without_predictions_has_its_gains_and_a_study_without_ce_says_so():
    study = with_design()
    index = runs(study, {})
    table = regimes_table(study, index)
    assert len(shown(table)) == len(index.groupby(["dataset", "method"])) - len(POINTS)
    assert "Of 0 predictions" in table.lead
    expected = with_design(predictions=(expecting(above=0.0),))
    table = regimes_table(expected, index[index["method"] != "ce"])
    assert [grid.caption for grid in table.grids] == ["Predictions"]
    assert not regimes_table(study, index[index["method"] != "ce"]).grids
    assert "There is no gain: they are over CE, which this study has not." in table.notes


def test_the_figure_is_drawn_from_its_csv_alone(whole):
    frame = whole.long[whole.long["part"] == "map"]
    pictures = render("regimes", frame.to_csv(index=False))
    assert pictures["png"].startswith(b"\x89PNG")
    assert draw(frame.iloc[:0]) is not None


def test_a_method_run_at_other_sizes_than_most_has_no_squares_of_these(whole):
    frame = whole.long[whole.long["part"] == "map"]
    of = (frame["method"] == "autoloss") & (frame["where"] == "region") & (frame["parts"] == 1)
    few = frame[of & (frame["share"] > 0.05)].assign(rows=10_000.0, label="elsewhere")
    few["share"] += 0.01  # no share of the points with as many rows as most
    figure = draw(pd.concat([frame[frame["method"] != "autoloss"], few]))
    (axis,) = [axis for axis in figure.axes if axis.get_title() == "elsewhere"]
    assert not axis.texts


def test_the_page_says_that_nothing_was_run_and_then_what_came_out(whole, tmp_path, monkeypatch):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    page = when_it_pays_page(tmp_path)
    assert "**Not yet run.**" in page
    assert f"{len(PLAN.cells('regimes')) * SEEDS:,} runs" in page
    assert page.count("\n| ") > len(PLAN.regimes.predictions)
    (tmp_path / TABLE).parent.mkdir(parents=True)
    (tmp_path / TABLE).write_text(whole.long.to_csv(index=False))
    page = when_it_pays_page(tmp_path)
    assert "Not yet run" not in page
    line = line_of(page, "Labels flipped in a region")
    assert "AutoLoss (upper CE) +0.00" in line
    assert "Headroom: " in line
    for prediction in PLAN.regimes.predictions:
        assert prediction.statement in page


def line_of(page, kind, metric="AUC"):
    lines = [line for line in page.splitlines() if line.startswith(f"- **{kind}** (")]
    assert len(lines) == 2
    (line,) = [line for line in lines if f"), {metric}: " in line]
    return line


@pytest.fixture
def page_of(tmp_path):
    """The page of the whole design's runs with these gains, by point and method."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / TABLE).parent.mkdir(parents=True)

    def page(gains):
        long = regimes_table(PLAN, runs(PLAN, gains)).long
        (tmp_path / TABLE).write_text(long.to_csv(index=False))
        return when_it_pays_page(tmp_path)

    return page


def test_a_search_is_what_says_that_it_learns_or_searches_and_an_oracle_what_is_given(page_of):
    """A change of AutoLoss, one that sees features, the best mixture: all are searches."""
    gains = {
        ("region_20", "autoloss_under_xi_10"): 0.003,
        ("region_20", "autoloss_seeing_under_features_ce"): 0.004,
        ("region_40", "refined_grid"): 0.005,
        ("region_20", "constant_under_hinge_inside"): 0.02,
        ("clean", "refined_grid"): 0.006,
        ("clean", "hinge"): 0.03,
        ("positives_02", "constant_under_ranking"): 0.01,
        ("positives_02", "focal"): 0.04,
    }
    page = page_of(gains)
    flipped = line_of(page, "Labels flipped in a region")
    found, headroom = flipped.split("Headroom: ")
    for label, at in (("AutoLoss (ξ × 10)", 1), ("AutoLoss (seeing more) (features, upper CE)", 1)):
        assert f"{label} +0.00" in found
        assert f"at {at} of 1" in found.split(label)[1].split(";")[0]
    assert "at 1 of 2" in found.split("Best mixture")[1].split(";")[0]  # where it was run
    assert headroom.startswith("Constant (hinge in the region, CE elsewhere) +0.02")
    assert "Constant" not in found
    clean = line_of(page, "Clean labels")
    assert "A search gains: Best mixture +0.006" in clean
    assert "A fixed loss gains: Hinge +0.03" in clean
    assert clean.endswith("Headroom: no oracle was run.")
    # Known weights that are the same everywhere are a fixed loss.
    rare = line_of(page, "Rare positives")
    assert "A fixed loss gains: Focal +0.04" in rare
    assert "; Constant (ranking alone) +0.01" in rare


def test_the_page_counts_where_each_method_gains_and_by_more_than_the_design_resolves(page_of):
    lost = {("everywhere_40", "l2rw"): -0.01}
    page = page_of({("region_20", "l2rw"): 0.02, ("region_40", "l2rw"): 2e-4, **lost})
    (line,) = [line for line in page.splitlines() if line.startswith("| AUC | L2RW | ")]
    _, *cells = [cell.strip() for cell in line.strip("|").split("|")]
    at = [p for p in PLAN.regimes.points if "l2rw" in PLAN.regimes.run_at(p)]
    assert cells[:5] == ["L2RW", str(len(at)), "2", "1", "1"]
    assert 0 < float(cells[5]) < 3e-4
    assert cells[6].startswith("+0.02")
    assert "| AutoLoss (ξ × 10) |" not in page


def test_a_run_at_the_papers_size_is_shown_with_the_weights_of_its_best_epoch(page_of, tmp_path):
    def weights(hinge):
        return {"all": {"focal": 0.9 - hinge, "hinge": hinge, "ce": 0.1}, "0": {}, "1": {}}

    regions = [
        {"epoch": 1, "inside": weights(0.7), "outside": weights(0.2)},
        {"epoch": 2, "inside": weights(0.1), "outside": weights(0.1)},
    ]
    about = {"seed": 0, "rows": {"train": 36_672_493}}
    metrics = {"test": {"auc": 0.85, "logloss": 0.5, "logloss_calibrated": 0.41}}
    cost = {"best_epoch": 1, "seconds": 5400.0, "peak_memory_mb": 3210.0}
    runs = [
        {**about, "label": "AutoLoss", "metrics": metrics, "budget": cost, "regions": regions},
        {**about, "label": "CE", "metrics": metrics, "budget": cost, "regions": []},
    ]
    assert "At the paper's size" not in page_of({})
    (tmp_path / FULL_SIZE).parent.mkdir(parents=True)
    (tmp_path / FULL_SIZE).write_text(json.dumps(runs))
    page = page_of({})
    assert "36,672,493 rows" in page
    assert "| AutoLoss | 0 | 0.8500 | 0.4100 | 1 | 1.50 | 3.2 | hinge | 0.70 | 0.20 |" in page
    assert "| CE | 0 | 0.8500 | 0.4100 | 1 | 1.50 | 3.2 |  |  |  |" in page


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("neither reading of AutoLoss gains", "no reading of AutoLoss gains"),
        ("  - name: l2rw_gains\n", "  - name: l2rw_gains_much\n"),
        ("name: region_05,", "name: region_five,"),
        ("noise: {share: 0.05, where: region}, ", "noise: {share: 0.06, where: region}, "),
        ("label: ξ × 10\n", "label: ξ tenfold\n"),
    ],
)
def test_the_page_refuses_a_table_of_another_design(whole, tmp_path, old, new):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    (tmp_path / TABLE).parent.mkdir(parents=True)
    (tmp_path / TABLE).write_text(whole.long.to_csv(index=False))
    assert "## Predictions: " in when_it_pays_page(tmp_path)
    file = tmp_path / "configs" / "regimes.yaml"
    text = file.read_text()
    file.write_text(f"# Another remark.\n{text}")
    assert "## Predictions: " in when_it_pays_page(tmp_path)
    assert old in text
    file.write_text(text.replace(old, new))
    with pytest.raises(RecordError, match=r"of another design.*\n.*snakemake --cores all regimes"):
        when_it_pays_page(tmp_path)
    # One of before tables said of which design they are.
    file.write_text(text)
    (tmp_path / TABLE).write_text(whole.long.drop(columns="design").to_csv(index=False))
    with pytest.raises(RecordError, match="of another design"):
        when_it_pays_page(tmp_path)


def test_the_committed_page_is_what_the_command_prints(capsys):
    with pytest.raises(SystemExit) as done:
        app(["when-it-pays"])
    assert done.value.code == 0
    assert capsys.readouterr().out == (ROOT / "docs" / "when-it-pays.md").read_text()


def test_read_back_the_table_is_the_same(whole):
    from autoloss.report.frames import read_csv

    back = read_csv(io.StringIO(whole.long.to_csv(index=False)))
    assert back["mean"].to_numpy() == pytest.approx(whole.long["mean"].to_numpy(), nan_ok=True)
    assert [*back["outcome"][:3]] == [*whole.long["outcome"][:3]]
