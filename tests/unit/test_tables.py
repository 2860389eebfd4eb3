"""Tables: numbers, marks and published values from a small index whose answers are known."""

from __future__ import annotations

import io
import math

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoloss.data.registry import load_dataset
from autoloss.metrics import METRICS
from autoloss.report.frames import read_csv
from autoloss.report.published import load_published
from autoloss.report.render import to_latex, to_markdown
from autoloss.report.tables import data_table, methods_table
from autoloss.stats import compare_family, describe
from tests.tiny import ROOT, tiny_manifest

LABELS = {"ce": "CE", "bad": "Bad_1", "autoloss": "AutoLoss", "twin": "Twin"}


def index(seeds, methods, failed=()):
    """AUC of `methods` by name, the same wobble for all, a little extra for AutoLoss."""
    rows = []
    for method, auc in methods.items():
        for seed in range(seeds):
            ok = (method, seed) not in failed
            value = auc + 0.001 * seed + (0.0002 * seed if method == "autoloss" else 0)
            values = {"auc": value, "logloss": 1 - value, "logloss_calibrated": 1 - value}
            rows.append(
                {"dataset": "ml100k-ctr", "model": "deepfm", "method": method, "seed": seed}
                | {"status": "ok" if ok else "failed"}
                | (values if ok else dict.fromkeys(values, math.nan))
            )
    return pd.DataFrame(rows)


def table(frame, name="table_2"):
    comparisons = compare_family(frame, "autoloss", list(METRICS), resamples=200)
    return methods_table(
        name,
        describe(frame, list(METRICS)),
        comparisons,
        LABELS,
        {"ml100k-ctr": load_dataset("ml100k-ctr", ROOT)},
        load_published(ROOT),
        0.05,
    )


def cells(built, column):
    (block,) = built.blocks
    at = list(block.columns).index(column)
    return {name: row[at] for name, row in block.rows}


MISSING = ("null", "nan", "na", "n_a", "none", "inf", "infinity", "true", "false", "nat", "e5")
WORDS = st.sampled_from(MISSING) | st.from_regex(r"[a-z][a-z0-9_]{0,4}", fullmatch=True)
NUMBERS = st.sampled_from(["007", "1e5", "0x1f", "1_000", "12", "1e-400", "-inf"])


@given(WORDS.filter(lambda name: name != "autoloss"), WORDS | WORDS.map(str.upper) | NUMBERS)
@settings(max_examples=25, deadline=None)
def test_whatever_a_method_and_its_data_are_called_its_statistics_are_in_the_table(name, data):
    """The same numbers as under a plain name, through the files on the way."""

    def made(method, dataset, through):
        frame = index(3, {method: 0.75, "autoloss": 0.8}).assign(dataset=dataset)
        described = describe(frame, list(METRICS))
        comparisons = through(compare_family(frame, "autoloss", list(METRICS), resamples=100))
        spec = load_dataset("ml100k-ctr", ROOT)
        published = load_published(ROOT)
        return methods_table(
            "table_2", described, comparisons, {}, {dataset: spec}, published, 0.05
        ).long.assign(method=lambda f: f["method"] == "autoloss", dataset="")

    def filed(frame):
        back = read_csv(io.StringIO(frame.to_csv(index=False)))
        pd.testing.assert_frame_equal(back, frame, check_dtype=False, check_exact=True)
        return back

    plain = made("plain", "plain", lambda frame: frame)
    assert plain["gain"].notna().sum() == len(METRICS)
    pd.testing.assert_frame_equal(made(name, data, filed), plain, check_dtype=False)


def test_a_clear_winner_is_starred_bold_and_beside_the_papers_value():
    built = table(index(12, {"ce": 0.75, "bad": 0.70, "autoloss": 0.80}))
    ours = cells(built, ("DeepFM", "AUC"))
    assert ours["AutoLoss"].bold
    assert ours["AutoLoss"].mark == "star"
    assert ours["AutoLoss"].text == "0.8066 ± 0.0043"  # 0.8 + mean and sd of 0.0012 * (0..11)
    assert ours["CE"].mark == ours["Bad_1"].mark == "worse"
    assert not ours["CE"].bold
    paper = cells(built, ("DeepFM", "paper, AUC"))
    assert (paper["AutoLoss"].text, paper["CE"].text, paper["Bad_1"].text) == (
        "0.8092",
        "0.8056",
        "",
    )


def test_a_better_baseline_is_marked_and_takes_the_bold():
    built = table(index(12, {"ce": 0.85, "bad": 0.70, "autoloss": 0.80}))
    for metric in METRICS.values():
        ours = cells(built, ("DeepFM", metric.label))
        assert (ours["CE"].mark, ours["CE"].bold) == ("better", True)
        assert ours["Bad_1"].mark == "worse"
        assert ours["AutoLoss"].mark == ""


def test_few_seeds_get_no_mark_and_a_note():
    built = table(index(5, {"ce": 0.75, "autoloss": 0.80}))
    assert all(cell.mark == "" for cell in cells(built, ("DeepFM", "AUC")).values())
    assert any("annot be significant with 5 seeds" in note for note in built.notes)


def test_failed_runs_are_shown_and_make_no_star():
    failed = {("ce", 0), *(("bad", seed) for seed in range(12))}
    built = table(index(12, {"ce": 0.75, "bad": 0.70, "autoloss": 0.80}, failed))
    ours = cells(built, ("DeepFM", "AUC"))
    assert "(1 failed)" in ours["CE"].text
    assert ours["Bad_1"].text == "failed (12)"
    assert ours["AutoLoss"].mark == ""


def test_the_long_form_has_every_number_once():
    built = table(index(12, {"ce": 0.75, "bad": 0.70, "autoloss": 0.80}))
    assert len(built.long) == 3 * len(METRICS)
    assert not built.long.duplicated(["dataset", "model", "method", "metric"]).any()
    row = built.long.query("method == 'ce' and metric == 'logloss'").iloc[0]
    assert row["mean"] == pytest.approx(0.2445)
    assert row["published"] == 0.4457


def test_table_3_takes_its_own_published_values():
    frame = index(12, {"ce": 0.75, "autoloss": 0.80}).replace({"method": {"ce": "al1"}})
    paper = cells(table(frame, "table_3"), ("DeepFM", "paper, Log loss"))
    assert paper["al1"].text == "0.4460"


def test_markdown_and_latex_hold_the_same_cells():
    built = table(index(12, {"ce": 0.75, "bad": 0.70, "autoloss": 0.80}))
    markdown, latex = to_markdown(built), to_latex(built, "table_2")
    assert "| AutoLoss | **0.8066 ± 0.0043** \\* | 0.8092 |" in markdown
    assert "AutoLoss & \\textbf{0.8066 $\\pm$ 0.0043}$^{*}$ & 0.8092" in latex
    assert "Bad\\_1" in latex
    assert "$^{*}$ AutoLoss is significantly better" in latex
    assert "textbackslash" not in latex
    assert "\\caption{performance of every method" in latex
    for command in ("\\toprule", "\\midrule", "\\bottomrule", "\\multicolumn{5}{c}{DeepFM}"):
        assert command in latex
    widths = {line.count("|") for line in markdown.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def test_table_1_shows_the_data_beside_the_papers():
    manifest = tiny_manifest("tiny", 2, 460, {})
    built = data_table([manifest], load_published(ROOT))
    row = built.long.iloc[0]
    assert (row["interactions"], row["feature_values"], row["train"]) == (460, 25, 300)
    assert row["paper_interactions"] == 45840617
    assert row["class_shares"] == "50.0% / 50.0%"
    assert "45,840,617" in to_markdown(built)
