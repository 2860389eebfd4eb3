"""The ids of open choices (M7, D5, ...), and the readings of them: each leads to its row."""

from __future__ import annotations

import re
from pathlib import Path
from unittest.mock import patch

import pandas as pd
import pytest

from autoloss.report.page import page as report_page
from autoloss.report.page.page import write_report
from autoloss.report.reference import BEGIN, END
from autoloss.report.render import to_latex, to_markdown
from autoloss.report.tables.sensitivity import sensitivity_table
from autoloss.study.study import Study
from tests.studied import tiny_study, working_in
from tests.tiny import ROOT
from tests.workflow.pages import PAGES

DEVIATIONS = ROOT / "docs" / "deviations.md"
ID = r"[A-Z]\d{1,2}"
ROW = re.compile(rf'\| (?:<a id="(\w+)"></a>)?({ID}) \| (.*) \|')
LINK = re.compile(rf"\[[^\]]*?\b({ID})\b[^\]]*\]\(([^)#]*)#(\w+)\)")
ROWS = {row[2]: row for row in map(ROW.fullmatch, DEVIATIONS.read_text().splitlines()) if row}
STUDY = Study.load({}, ROOT)


def is_there(name: str, path: str, anchor: str, page: Path) -> bool:
    """Whether a link on a page of the project leads to the row of an id."""
    file = ROOT / path[1:] if path.startswith("/") else page.parent / path if path else page
    return file.resolve() == DEVIATIONS and ROWS[name][1] == anchor


def table():
    """The sensitivity table of runs that are all alike."""
    rows = [
        {"dataset": cell.dataset, "model": cell.model, "method": cell.method, "seed": seed}
        | {"status": "ok", "auc": 0.8, "auc_weighted": 0.8}
        | {"logloss": 0.5, "logloss_calibrated": 0.5}
        for cell in STUDY.cells("sensitivity")
        for seed in range(STUDY.config.study.seeds)
    ]
    return sensitivity_table(STUDY, pd.DataFrame(rows))


def test_every_row_has_an_anchor_and_words():
    assert len(ROWS) > 40
    for name, row in ROWS.items():
        assert row[1] == name.lower()
        assert len(row[3].split("|")) >= 4


def test_every_reading_is_of_a_row():
    assert {reading.choice for reading in STUDY.sensitivity.readings} <= ROWS.keys()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_an_id_on_a_page_leads_to_its_row(page):
    """But for those in code, and in tables of a reference that was made before."""
    text = re.sub(f"{BEGIN}.*{END}", "", page.read_text(), flags=re.DOTALL)
    text = re.sub(r"```.*?```|`[^`]*`", "", text, flags=re.DOTALL)
    text = re.sub(rf'(?m)^\| <a id="\w+"></a>{ID} ', "| ", text)
    assert all(is_there(*link, page) for link in LINK.findall(text))
    alone = re.findall(rf"(?<![\w./-])({ID})(?![\w-])", LINK.sub("", text))
    assert not ROWS.keys() & set(alone), "make it a link: [M7](deviations.md#m7)"


def test_a_reading_in_a_table_leads_to_its_row_in_markdown_and_shows_no_id():
    made = table()
    text = to_markdown(made)
    links = re.findall(r"\[([^\]]+)\]\(([^)#]*)#(\w+)\)", text)
    readings = {reading.label: reading.choice for reading in STUDY.sensitivity.readings}
    assert {label for label, _, _ in links} == readings.keys()
    page = ROOT / "results/laptop/tables/sensitivity.md"
    assert all(is_there(readings[label], path, anchor, page) for label, path, anchor in links)
    assert not ROWS.keys() & set(re.findall(ID, re.sub(r"\(.*?\)", "", text)))
    assert "deviations.md#" not in to_latex(made, "sensitivity")


def test_a_reading_on_the_page_of_a_study_leads_to_its_row(studied):
    shown = [{"name": "sensitivity", "table": table(), "links": {}}]
    with working_in(studied), patch.object(report_page, "_tables", lambda runs: shown):
        file = write_report(tiny_study())
        text = (studied / file).read_text()
    hrefs = re.findall(r'href="([^"]*deviations\.md)#(\w+)"', text)
    assert {anchor for _, anchor in hrefs} == {r.choice.lower() for r in STUDY.sensitivity.readings}
    for path, _ in hrefs:
        place = (studied / file).parent / path
        assert place.resolve() == (studied / "docs" / "deviations.md").resolve()
