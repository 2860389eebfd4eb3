"""What the pages show of a reference: its own numbers, whatever it has of them."""

from __future__ import annotations

import math

import pandas as pd

from autoloss.report.reference import (
    BEGIN,
    END,
    README,
    RESULTS_PAGE,
    pages,
    reference_folders,
    write_pages,
)
from tests.studied import tiny_study

ROW = {"dataset": "mine_", "model": "deepfm", "metric": "auc", "best": False, "mark": ""}
NUMBERED = [
    {"method": "ce", "n": 1, "mean": 0.75, "number": "", "mark": "worse1 better2"},
    {"method": "autoloss", "n": 1, "mean": 0.8, "number": 1, "mark": "star"},
    {"method": "slf", "n": 1, "mean": 0.5, "number": 2},
]
ROWS = [
    {"method": "ce", "n": 3, "mean": 0.75, "sd": 0.0125, "failed": 0, "mark": "worse"},
    {"method": "focal", "n": 2, "mean": 0.7, "sd": 0.001, "failed": 1},
    {"method": "slf", "n": 1, "mean": 0.5, "sd": math.nan, "failed": 2},
    {"method": "kl", "n": 0, "mean": math.nan, "sd": math.nan, "failed": 3},
    {"method": "autoloss", "n": 1, "mean": 0.8, "sd": math.nan, "failed": 0, "best": True},
]


def headline(folder, rows):
    """The README's lines about a reference whose Table 2 has these rows."""
    study = tiny_study()
    tables = folder / reference_folders(study)[0] / "tables"
    tables.mkdir(parents=True)
    pd.DataFrame([ROW | row for row in rows]).to_csv(tables / "table_2.csv", index=False)
    (folder / RESULTS_PAGE).parent.mkdir()
    for page in (README, RESULTS_PAGE):
        (folder / page).write_text(f"before\n\n{BEGIN}\n\n{END}\n")
    return pages(study, folder)[README].splitlines()


def test_the_headline_numbers_our_methods_where_marks_do(tmp_path):
    rows = [{"sd": math.nan, "failed": 0} | row for row in NUMBERED]
    lines = headline(tmp_path, rows)
    assert [line for line in lines if line.startswith("| ")][1:] == [
        "| CE | 0.7500 ▲¹ ▽² |",
        "| AutoLoss¹ | 0.8000 \\* |",
        "| SLF-style² | 0.5000 |",
    ]
    assert any("▲ the method of that number wins, significantly, against" in line for line in lines)


def test_a_headline_without_marks_has_no_legend_of_marks(tmp_path):
    lines = headline(tmp_path, [row | {"mark": ""} for row in ROWS])
    assert not any("Marks" in line or "▲" in line for line in lines)


def test_the_headline_says_what_a_mean_is_of(tmp_path):
    lines = headline(tmp_path, ROWS)
    (legend,) = (line for line in lines if line.startswith("Mean ± standard"))
    mark = "▲ AutoLoss wins, significantly, against the method of this row."
    assert legend.endswith(f"(docs/statistics.md): {mark}")  # alone
    assert [line for line in lines if line.startswith("| ")] == [
        "| test AUC | mine\\_, DeepFM |",
        "| CE | 0.7500 ± 0.0125 ▲ |",
        "| Focal | 0.7000 ± 0.0010 (1 failed) |",
        "| SLF-style | 0.5000 (2 failed) |",
        "| KL | failed (3) |",
        "| AutoLoss | **0.8000** |",
    ]


def test_the_tuned_table_2_leads_on_the_page_of_the_published_study(tmp_path):
    headline(tmp_path, ROWS)
    study = tiny_study()
    for protocol in ("published", "tuned"):
        tables = tmp_path / reference_folders(study.under(protocol))[0] / "tables"
        tables.mkdir(parents=True, exist_ok=True)
        (tables / "table_2.md").write_text(f"### Table 2, {protocol}\n")
    shown = pages(study, tmp_path)
    text = shown[RESULTS_PAGE]
    assert 0 < text.index("Table 2, tuned") < text.index("Table 2, published")
    assert "| AutoLoss | **0.8000** |" in shown[README]  # the published study's headline


def test_a_tuned_study_writes_the_pages_of_the_published_one(tmp_path, monkeypatch):
    headline(tmp_path, ROWS)
    monkeypatch.chdir(tmp_path)
    wanted = pages(tiny_study())
    assert list(write_pages(tiny_study().under("tuned"))) == [README, RESULTS_PAGE]
    assert {page: page.read_text() for page in wanted} == wanted
