"""Tables: numbers, marks and published values from a small index whose answers are known."""

from __future__ import annotations

import io
import math
import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoloss.data.specs import load_dataset
from autoloss.methods.discover import discover
from autoloss.metrics import METRICS
from autoloss.report.frames import read_csv
from autoloss.report.published import load_published
from autoloss.report.render import to_latex, to_markdown
from autoloss.report.table import marks_of
from autoloss.report.tables import _methods, make_table
from autoloss.report.tables._anchors import readings_of
from autoloss.report.tables._methods import (
    last_weights,
    methods_table,
    protocol_note,
    same_runs,
    what_it_is,
)
from autoloss.report.tables.table_1 import data_table
from autoloss.stats import compare_family, describe
from autoloss.study.study import Study
from tests.studied import tiny_study
from tests.tiny import ROOT, tiny_manifest

LABELS = {"ce": "CE", "bad": "Bad_1", "autoloss": "AutoLoss", "twin": "Twin"}
OURS = {"autoloss": "what it is"}
LABELS |= {"hinge": "Hinge", "hinge_logit": "Hinge (logits)"}


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


def table(frame, name="table_2", learned=(), ours=("autoloss",)):
    comparisons = compare_family(frame, ours, list(METRICS))
    weights = last_weights(frame[frame["method"].isin(learned)])
    return methods_table(
        name,
        describe(frame, list(METRICS)).merge(weights, how="left"),
        comparisons,
        dict.fromkeys(ours, "what it is"),
        LABELS,
        {"ml100k-ctr": load_dataset("ml100k-ctr", ROOT)},
        load_published(ROOT),
        0.05,
        readings_of(discover()),
    )


def cells(built, column):
    (grid,) = built.grids
    at = list(grid.columns).index(column)
    return {name.text: items[at] for name, *items in grid.rows}


MISSING = ("null", "nan", "na", "n_a", "none", "inf", "infinity", "true", "false", "nat", "e5")
WORDS = st.sampled_from(MISSING) | st.from_regex(r"[a-z][a-z0-9_]{0,4}", fullmatch=True)
NUMBERS = st.sampled_from(["007", "1e5", "0x1f", "1_000", "12", "1e-400", "-inf"])


@given(WORDS.filter(lambda name: name != "autoloss"), WORDS | WORDS.map(str.upper) | NUMBERS)
@settings(max_examples=25, deadline=None)
def test_whatever_a_method_and_its_data_are_called_its_statistics_are_in_the_table(name, data):
    """The same numbers as under a plain name, through the files on the way."""

    def made(method, dataset, through):
        frame = index(12, {method: 0.75, "autoloss": 0.8}).assign(dataset=dataset)
        described = describe(frame, list(METRICS))
        comparisons = through(compare_family(frame, ["autoloss"], list(METRICS)))
        spec = load_dataset("ml100k-ctr", ROOT)
        published = load_published(ROOT)
        return methods_table(
            "table_2", described, comparisons, OURS, {}, {dataset: spec}, published, 0.05
        ).long.assign(method=lambda f: f["method"] == "autoloss", dataset="")

    def filed(frame):
        back = read_csv(io.StringIO(frame.to_csv(index=False)))
        pd.testing.assert_frame_equal(back, frame, check_dtype=False, check_exact=True)
        return back

    plain = made("plain", "plain", lambda frame: frame)
    assert (plain["mark"] != "").sum() == 2 * len(METRICS)
    pd.testing.assert_frame_equal(made(name, data, filed), plain, check_dtype=False)


def test_a_clear_winner_is_starred_and_bold():
    built = table(index(12, {"ce": 0.75, "bad": 0.70, "autoloss": 0.80}))
    ours = cells(built, ("DeepFM", "AUC"))
    assert ours["AutoLoss"].bold
    assert ours["AutoLoss"].mark == "star"
    assert ours["AutoLoss"].text == "0.8066 ± 0.0043"  # 0.8 + mean and sd of 0.0012 * (0..11)
    assert ours["CE"].mark == ours["Bad_1"].mark == "worse"
    assert not ours["CE"].bold
    names = [metric.label for metric in METRICS.values()]
    assert built.grids[0].columns == [("DeepFM", name) for name in names]  # the paper's are apart


def test_a_better_baseline_is_marked_and_takes_the_bold():
    built = table(index(12, {"ce": 0.85, "bad": 0.70, "autoloss": 0.80}))
    for metric in METRICS.values():
        ours = cells(built, ("DeepFM", metric.label))
        assert (ours["CE"].mark, ours["CE"].bold) == ("better", True)
        assert ours["Bad_1"].mark == "worse"
        assert ours["AutoLoss"].mark == ""


def test_each_method_of_ours_has_its_number_in_marks_label_and_legend():
    """Bad_1 loses to both, CE to the second alone, and the first to the second."""
    means = {"ce": 0.79, "bad": 0.70, "autoloss": 0.78, "twin": 0.80}
    built = table(index(12, means), ours=("autoloss", "twin"))
    marks = {name: cell.mark for name, cell in cells(built, ("DeepFM", "AUC")).items()}
    assert marks == {
        "CE": "better1 worse2",
        "Bad_1": "worse1 worse2",
        "AutoLoss¹": "",
        "Twin²": "star better1",
    }
    assert "over the 5 comparisons of AutoLoss and Twin per metric" in " ".join(built.notes)
    assert "AutoLoss¹: what it is; Twin²: what it is." in built.notes
    markdown, latex = to_markdown(built), to_latex(built, "table_2")
    assert "| CE | 0.7955 ± 0.0036 ▽¹ ▲² |" in markdown
    assert "| Bad_1 | 0.7055 ± 0.0036 ▲¹² |" in markdown
    whom = "the method of that number"
    won, lost = "wins, significantly, against", "loses, significantly, to"
    line = f"; ▲ {whom} {won} the method of this row; ▽ {whom} {lost} the method of this row. "
    assert f"{line}Of a log loss the smaller wins.\n" in markdown
    assert markdown.index(line) < markdown.index(built.notes[0])  # right under the table
    assert "Bad\\_1 & 0.7055 $\\pm$ 0.0036$^{\\blacktriangle}$$^{1}$$^{2}$" in latex
    assert "Twin$^{2}$ & " in latex
    assert built.long.drop_duplicates("method")["number"].to_list() == ["", "", "1", "2"]


def test_marks_are_read_back_by_kind():
    assert marks_of("worse1 worse3 better2") == {"worse": "¹³", "better": "²"}
    assert marks_of("star worse") == {"star": "", "worse": ""}
    assert marks_of("good") == marks_of("") == {}


def test_runs_that_two_methods_share_are_said_to_be_one():
    """By digests, in the cells where every seed's are equal and none has failed."""
    frame = index(2, {"ce": 0.75, "bad": 0.75, "twin": 0.8}, failed={("twin", 0)})
    frame["digest"] = [f"{m}{s}" for m, s in zip(frame["method"], frame["seed"], strict=True)]
    other = frame.assign(model="ipnn")
    frame["digest"] = frame["digest"].str.replace("bad", "ce")
    both = pd.concat([frame, other])
    (note,) = same_runs(both, LABELS)
    assert note == "Bad_1 chose CE in 1 of 2 cells: the same runs, to the bit."
    assert not list(same_runs(other, LABELS))
    one_seed = frame.assign(digest=frame["digest"].where(frame["seed"] == 0, frame.index))
    assert not list(same_runs(one_seed, LABELS))
    none = frame.assign(digest=None, status="failed")
    assert not list(same_runs(none, LABELS))


def test_each_reading_is_named_by_what_judges_its_controller():
    plan = Study.load({}, ROOT)
    assert what_it_is(plan, "autoloss").endswith("its own mixed loss, as Eq. 12 writes it")
    assert "judged by cross-entropy" in what_it_is(plan, "autoloss_ce")
    turned = Study.load({"methods": {"autoloss": {"criterion": "ce"}}}, ROOT)
    assert what_it_is(turned, "autoloss") == what_it_is(plan, "autoloss_ce")
    searched = Study.load({"protocol": "tuned"}, ROOT)
    assert what_it_is(searched, "autoloss") == what_it_is(plan, "autoloss")  # none is searched
    assert what_it_is(plan, "slf") == plan.methods["slf"].info.summary


def test_a_table_says_of_which_protocol_it_is():
    published, tuned = (Study.load({"protocol": name}, ROOT) for name in ("published", "tuned"))
    assert protocol_note(published).startswith("Published protocol: ")
    trials = tuned.config.tuning.trials
    assert protocol_note(tuned).startswith(f"Tuned protocol: a search of {trials} trials a cell")


def test_few_seeds_get_no_mark_and_a_note():
    built = table(index(5, {"ce": 0.75, "autoloss": 0.80}))
    assert all(cell.mark == "" for cell in cells(built, ("DeepFM", "AUC")).values())
    assert any("annot be significant with 5 seeds" in note for note in built.notes)


def test_the_survey_of_everything_says_that_its_family_is_too_large(monkeypatch):
    """Of 103 comparisons: 2^-11 times that is above 0.05, and 13 seeds would do."""
    study = tiny_study()
    others = {f"m{k}": 0.7 + k / 1000 for k in range(103)}
    frame = index(12, {**others, "autoloss": 0.9}).assign(digest="")
    study.methods.update(dict.fromkeys(others, study.methods["slf"]))
    compared = compare_family(frame, ["autoloss"], list(METRICS))
    for name, content in (("read_index", frame), ("read_comparisons", compared)):
        monkeypatch.setattr(_methods, name, lambda study, group, of=content: of)
    built = make_table(study, "table_2_full")
    assert built.notes[0].startswith("A survey")
    assert built.notes[1].startswith("Published protocol: ")
    assert "Cannot be significant with 12 seeds: a family of 103 needs 13." in built.notes
    assert not built.legend


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


def test_a_note_says_which_reading_of_a_loss_is_as_far_from_ce_as_the_papers():
    means = {"ce": 0.78, "hinge": 0.77, "hinge_logit": 0.7788, "autoloss": 0.80}
    (note,) = (note for note in table(index(12, means)).notes if note.startswith("Hinge less CE"))
    where = f"{load_dataset('ml100k-ctr', ROOT).title}, DeepFM"
    assert note == (
        f"Hinge less CE in AUC: {where}: Hinge -0.0100, Hinge (logits) -0.0012, paper -0.0007. "
        f"Within 0.001 of the paper's: Hinge (logits) ({where})."
    )
    far = table(index(12, {**means, "hinge_logit": 0.775}))
    assert far.notes[-1].endswith("Within 0.001 of the paper's: none.")
    for lacking in (
        table(index(12, {"ce": 0.78, "hinge": 0.77, "autoloss": 0.80})),
        table(index(12, means, {("hinge", seed) for seed in range(12)})),
    ):
        assert not any(note.startswith("Hinge less CE") for note in lacking.notes)


def test_the_papers_numbers_stand_in_a_table_of_their_own():
    """Some read off the paper's page; the best of each column in bold."""
    built = make_table(tiny_study(), "published")
    grids = {grid.caption: grid for grid in built.grids}
    assert list(grids) == ["Table 1", "Table 2, Criteo", "Table 2, ML-20m", "Table 3, Criteo"]
    assert [[item.text for item in row] for row in grids["Table 1"].rows] == [
        ["Criteo", "45,840,617", "39", "1,086,810"],
        ["ML-20m", "20,000,263", "2", "165,771"],
    ]
    rows = {row[0].text: row[1:] for row in grids["Table 2, ML-20m"].rows}
    columns = grids["Table 2, ML-20m"].columns
    assert columns == [(m, name) for m in ("DeepFM", "IPNN") for name in ("AUC", "Log loss")]
    assert [item.text for item in rows["CE"]] == ["0.7692", "1.2310", "0.7733", "1.2260"]
    assert {name for name, items in rows.items() if items[1].bold} == {"AutoLoss"}
    components = {row[0].text: row[1].text for row in grids["Table 3, Criteo"].rows}
    assert components == {"AL-1": "0.8052", "AL-2": "0.8083", "AutoLoss": "0.8092"}
    assert len(built.long) == 2 * 3 + 9 * 2 * 2 * 2 + 3 * 2 * 2
    assert "for Criteo and MovieLens-100K, 5-class rating for ML-20m" in " ".join(built.notes)


def test_markdown_and_latex_hold_the_same_cells():
    built = table(index(12, {"ce": 0.75, "bad": 0.70, "autoloss": 0.80}))
    markdown, latex = to_markdown(built), to_latex(built, "table_2")
    assert "| AutoLoss | **0.8066 ± 0.0043** \\* | **0.1934" in markdown
    assert "AutoLoss & \\textbf{0.8066 $\\pm$ 0.0043}$^{*}$ & \\textbf{0.1934" in latex
    assert "Bad\\_1" in latex
    line = "AutoLoss wins, significantly, against the method of this row. Of a log loss the smaller"
    assert "$^{*}$ wins, significantly, against the best other method of the cell" in latex
    assert f"$^{{\\blacktriangle}}$ {line} wins." in latex
    assert f"; ▲ {line} wins.\n" in markdown
    assert latex.startswith("% \\usepackage{amssymb,booktabs,graphicx}\n")
    assert not set("▲▽") & set(latex)
    assert "textbackslash" not in latex
    captions = re.findall(r"\\caption\{(.*)\}\n", latex)
    assert all(caption.startswith("Performance of every method") for caption in captions)
    assert max(map(len, captions)) < 150
    assert "docs/" not in latex
    assert latex.index("\\end{tabular}") < latex.index("Mean $\\pm$ standard deviation over 12")
    natural = "\\ifdim\\width>\\textwidth\\textwidth\\else\\width\\fi"
    assert latex.count(f"\\resizebox{{{natural}}}{{!}}{{%") == latex.count("\\resizebox") > 0
    assert latex.count("{") == latex.count("}")
    for command in ("\\toprule", "\\midrule", "\\bottomrule", "\\multicolumn{3}{c}{DeepFM}"):
        assert command in latex
    widths = {line.count("|") for line in markdown.splitlines() if line.startswith("|")}
    assert len(widths) == 1


def weighed(weights, failed=()):
    """An index of two seeds, whose runs end at `weights` by method, candidate and seed."""
    frame = index(2, dict.fromkeys(weights, 0.75), failed)
    names = next(iter(weights.values())).keys()
    rows = zip(frame["method"], frame["seed"], strict=True)
    values = [{f"weight_{loss}": weights[m][loss][s] for loss in names} for m, s in rows]
    return frame.join(pd.DataFrame(values))


def test_last_weights_stand_beside_a_learned_methods_row_in_every_format():
    """Means over seeds in the candidates' order; a failed run has none, nor has a fixed loss."""
    alone = {"focal": [0.0, 0.0], "ce": [1.0, 1.0]}
    ours = {"focal": [0.1, 0.3], "ce": [0.9, 0.7]}
    frame = weighed(
        {"ce": alone, "bad": {"focal": [0.75, 0.0], "ce": [0.25, 1.0]}, "autoloss": ours},
        failed={("bad", 1)},
    )
    built = table(frame, learned=("bad", "autoloss"))
    texts = {name: cell.text for name, cell in cells(built, ("DeepFM", "weights")).items()}
    assert texts == {"CE": "", "Bad_1": ".75 .25", "AutoLoss": ".20 .80"}
    assert "| .20 .80 |" in to_markdown(built)
    assert "& .20 .80 \\\\" in to_latex(built, "table_2")
    assert any(note.startswith("Weights: those of focal, ce") for note in built.notes)
    row = built.long.query("method == 'autoloss' and metric == 'auc'").iloc[0]
    assert (row["weight_focal"], row["weight_ce"]) == pytest.approx((0.2, 0.8))
    bare = table(index(2, {"ce": 0.75, "autoloss": 0.8}))
    assert ("DeepFM", "weights") not in bare.grids[0].columns


def test_of_many_candidates_the_largest_weights_are_named():
    shares = {f"l{k}": [k / 28] * 2 for k in range(8)}
    built = table(weighed({"autoloss": shares, "ce": shares}), learned=("autoloss",))
    assert cells(built, ("DeepFM", "weights"))["AutoLoss"].text == "l7 .25, l6 .21, l5 .18"
    assert any(note.startswith("Weights: those of the three largest") for note in built.notes)


def test_table_1_shows_what_preparation_counted():
    built = data_table([tiny_manifest("tiny", 2, 460, {})])
    row = built.long.iloc[0]
    assert (row["interactions"], row["feature_values"], row["train"]) == (460, 25, 300)
    assert row["class_shares"] == "50.0% / 50.0%"
    assert (row["stands_for"], len(built.grids[0].columns)) == ("Criteo", 10)
    assert row["embedded_ids"] == 25
    manifest = tiny_manifest("tiny", 2, 460, {})
    fewer = manifest.statistics.model_copy(update={"encoded_features": 1023})
    split = manifest.model_copy(update={"split": 1, "statistics": fewer})
    built = data_table([manifest, split])
    assert list(built.long["embedded_ids"]) == ["25–1,023"]  # one row, all its splits


def test_a_method_without_recalibration_has_a_dash_no_mark_and_a_note():
    frame = index(12, {"ce": 0.75, "twin": 0.85, "autoloss": 0.80}, failed={("twin", 0)})
    frame.loc[frame["method"] == "twin", "logloss_calibrated"] = math.nan
    built = table(frame)
    assert cells(built, ("DeepFM", "Log loss"))["Twin"].text.endswith("(1 failed)")
    recalibrated = cells(built, ("DeepFM", "Log loss, recal."))
    assert (recalibrated["Twin"].text, recalibrated["Twin"].mark) == ("–", "")
    assert (recalibrated["AutoLoss"].mark, recalibrated["AutoLoss"].bold) == ("star", True)
    assert "A dash: the method has trained on the validation split" in " ".join(built.notes)
    assert any("over the 1 comparison of" in note for note in built.notes)  # the other has failed
    assert "| Twin |" in to_markdown(built)
    assert "Twin & " in to_latex(built, "table_2")
