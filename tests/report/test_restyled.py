"""A figure and a table of some methods: the numbers of the whole, under other names and looks."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from autoloss.errors import ConfigError, RecordError
from autoloss.metrics import METRICS
from autoloss.report.figures import _source, drawing
from autoloss.report.figures._source import Source
from autoloss.report.frames import read_csv
from autoloss.report.render import to_latex, to_markdown
from autoloss.report.restyled import restyled_figure, restyled_table
from autoloss.report.tables import _methods, make_table
from autoloss.stats import compare_family
from autoloss.study.study import Study
from tests.tiny import ROOT

MEANS = {"ce": 0.79, "kl": 0.7, "darts": 0.785, "autoloss": 0.78, "autoloss_ce": 0.8}


@pytest.fixture
def study(monkeypatch, tmp_path):
    """One whose Table 2 has five methods with 12 seeds, known means and a common wobble."""
    random, rows = np.random.default_rng(0), []
    wobble = random.normal(0, 0.002, 12)
    for method, seed in itertools.product(MEANS, range(12)):
        value = MEANS[method] + wobble[seed] + random.normal(0, 0.0005)
        values = {"auc": value, "logloss": 1 - value, "logloss_calibrated": 1 - value}
        row = {"dataset": "ml100k", "model": "deepfm", "method": method, "seed": seed, **values}
        rows.append(row | {"status": "ok", "run_id": f"{method}-{seed}", "digest": f"{value}"})
    runs = pd.DataFrame(rows)
    compared = compare_family(runs, ["autoloss", "autoloss_ce"], list(METRICS))
    monkeypatch.setattr(_source, "read_index", lambda study, group: runs)
    monkeypatch.setattr(_methods, "read_index", lambda study, group: runs)
    monkeypatch.setattr(_methods, "read_comparisons", lambda study, group: compared)
    monkeypatch.chdir(tmp_path)
    return Study.load({"study": {"methods": list(MEANS)}}, ROOT)


def test_a_figure_shows_the_numbers_of_the_whole_in_the_order_asked_for(study):
    said = list(
        restyled_figure(
            study,
            "gains",
            methods="autoloss,darts",
            labels="autoloss=Ours, at last,darts=D",
            width="85mm",
        )
    )
    files, caption = said[:-1], said[-1]
    folder = Path("figures/laptop/restyled")
    assert files == [str(folder / f"gains.{kind}") for kind in ("pdf", "csv", "json")]
    assert sorted(Path().rglob("*.*")) == sorted(map(Path, files))  # and nothing else
    shown = read_csv(folder / "gains.csv")
    assert list(shown["label"].unique()) == ["Ours, at last", "D"]
    whole = drawing("gains").data(Source(study, ("table_2",))).set_index(["method", "metric"])
    for row in shown.to_dict("records"):
        same = whole.loc[(row["method"], row["metric"])]
        assert [row[key] for key in ("mean", "low", "high")] == list(same[["mean", "low", "high"]])
    assert caption.endswith(
        "Shown are 2 of 4 methods: means, intervals, tests with their corrections, marks and bold "
        "are those among all of them."
    )
    about = json.loads((folder / "gains.json").read_text())
    assert about["caption"] == caption
    assert about["restyled"]["methods"] == "autoloss,darts"
    assert len(about["runs"]) == 60  # all that the numbers rest on
    box = re.search(rb"/MediaBox *\[ *0 0 ([\d.]+)", (folder / "gains.pdf").read_bytes())
    assert box is not None
    assert float(box[1]) == pytest.approx(85 / 25.4 * 72, abs=0.5)


def test_a_figures_format_is_its_files_ending_and_the_same_call_gives_the_same_bytes(study):
    kept = []
    for name in ("a.svg", "b.svg"):
        list(restyled_figure(study, "gains", methods="ce,autoloss", output=Path("own") / name))
        kept.append((Path("own") / name).read_bytes())
    assert kept[0].startswith(b"<?xml")
    assert kept[0] == kept[1]
    assert not Path("figures").exists()


def row_of(text, label):
    """A table's line of this label, in either format; its numbers and marks alone."""
    (line,) = (line for line in text.splitlines() if re.match(rf"\|? ?{label} [|&]", line))
    return re.split(r"[|&] ", line, maxsplit=2)[-1]


@pytest.mark.parametrize(("kind", "write"), [("md", to_markdown), ("tex", to_latex)])
def test_a_table_keeps_the_marks_and_the_family_of_the_whole(study, kind, write):
    whole = make_table(study, "table_2")
    options = {"label": "table_2"} if kind == "tex" else {}
    before = write(whole, **options)
    said = list(
        restyled_table(
            study,
            "table_2",
            methods="autoloss,kl,ce",
            labels="autoloss=R&D,kl=K",
            kind=kind,
        )
    )
    file = Path(f"results/laptop/restyled/table_2.{kind}")
    assert said[0] == str(file)
    assert said[1].startswith("Shown are 3 of 5 methods: ")
    text = file.read_text()
    assert said[1] in text
    own, one = (r"R\\&D", r"\$\^\{1\}\$") if kind == "tex" else ("R&D", "¹")
    places = [text.index(row_of(text, label)) for label in (own + one, "K", "CE")]
    assert places == sorted(places)
    for label, usual in ((own + one, f"AutoLoss{one}"), ("K", "KL"), ("CE", "CE")):
        assert row_of(text, label) == row_of(before, usual)
    (family,) = re.findall(r"Holm-corrected over the (\d+) comparisons", before)
    assert (
        f"Holm-corrected over the {family} comparisons of {own.replace(chr(92) * 2, chr(92))}"
        in text
    )
    assert "DARTS" not in text


def test_a_tables_csv_has_the_chosen_methods_alone(study):
    list(restyled_table(study, "table_2", methods="kl,ce", output=Path("own/t.csv")))
    long, whole = read_csv(Path("own/t.csv")), make_table(study, "table_2").long
    assert set(long["method"]) == {"kl", "ce"}
    merged = long.merge(whole, on=["method", "metric"], suffixes=("", "_whole"))
    assert len(merged) == 2 * len(METRICS)
    assert (merged["mark"] == merged["mark_whole"]).all()


def test_the_papers_own_numbers_can_be_chosen_from_too(study):
    list(restyled_table(study, "published", methods="autoloss,ce", output=Path("own/p.md")))
    text = Path("own/p.md").read_text()
    assert text.index("| AutoLoss |") < text.index("| CE |")
    assert "Criteo" in text
    assert "| Focal |" not in text


def test_labels_alone_leave_every_method(study):
    said = list(restyled_table(study, "table_2", labels="autoloss=Ours", output=Path("t.md")))
    assert said == ["t.md"]
    text = Path("t.md").read_text()
    assert "Ours¹: its controller is judged by its own mixed loss" in text
    assert "| AutoLoss (upper CE)² |" in text
    assert "▲ the method of that number wins" in text


@pytest.mark.parametrize(
    ("options", "where", "problem"),
    [
        ({"methods": "ce,autolos"}, "--methods", "no method 'autolos'.*mean 'autoloss'"),
        ({"methods": "kl,kl"}, "--methods", "names one twice"),
        ({"methods": "al1"}, "--methods", "has no method 'al1'.*choose among kl, darts"),
        ({"methods": "ce"}, "--methods", "has no method 'ce'"),  # gains are over it
        ({"labels": "autoloss"}, "--labels", "gives no method a label.*NAME=LABEL"),
        ({"labels": "autoloss="}, "--labels", "gives no method a label"),
        ({"labels": "ours=Ours"}, "--labels", "no method 'ours'"),
        ({"labels": "kl=ce"}, "--labels", "would both be called 'CE'"),
        ({"width": "85"}, "--width", "'85' is no width.*85mm"),
        ({"width": "2mm"}, "--width", "from 1in to 20in"),
        ({"kind": "jpg"}, "--format", "'jpg' is no format of these: pdf, png, svg"),
        ({"output": Path("gains.doc")}, "--output", "'doc' is no format"),
        ({"output": Path("gains.pdf"), "kind": "png"}, "--output", "give it that ending"),
        ({"output": Path("figures/laptop/gains.pdf")}, "--output", "workflow's own products"),
        ({"output": Path("own/../results/x/a.pdf")}, "--output", "workflow's own products"),
        ({"style": Path("none.yaml")}, "none.yaml", "no such file"),
    ],
)
def test_what_cannot_be_is_refused_with_a_mend_and_nothing_is_written(
    study, options, where, problem
):
    with pytest.raises(ConfigError) as refused:
        list(restyled_figure(study, "gains", **options))
    assert refused.value.where == where
    assert re.search(problem, str(refused.value), re.DOTALL)
    assert not list(Path().rglob("*.*"))


@pytest.mark.parametrize("name", ["table_1", "sensitivity"])
def test_a_table_that_is_not_of_methods_has_none_to_choose(study, monkeypatch, name):
    from autoloss.report import restyled
    from autoloss.report.table import Grid, Item, Table, plain_columns

    table = Table("T", [Grid("", "", plain_columns("rows"), [[Item("ml100k"), Item("9")]])])
    monkeypatch.setattr(restyled, "make_table", lambda study, name: table)
    with pytest.raises(ConfigError, match="has no method 'ce'") as refused:
        list(restyled_table(study, name, methods="ce"))
    assert refused.value.mend == "leave it out"


def test_a_drawing_of_boxes_is_never_narrower_than_it_is(study):
    with pytest.raises(ConfigError, match=r"(?s)has one width, 7 in.*includegraphics"):
        list(restyled_figure(study, "figure_1", width="85mm"))
    with pytest.raises(ConfigError, match="does not show methods' runs"):
        list(restyled_figure(study, "figure_1", methods="ce"))


def test_without_records_it_says_what_makes_them(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    study = Study.load({}, ROOT)
    for write, name in ((restyled_figure, "gains"), (restyled_table, "table_2")):
        with pytest.raises(RecordError, match=r"(?s)no such file.*`snakemake .* table_2`"):
            list(write(study, name, methods="ce,autoloss"))
    assert not list(Path().rglob("*.*"))
