"""The report: links that lead somewhere, the files' own numbers, nothing unescaped, same bytes."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from unittest.mock import patch
from urllib.parse import unquote

import pandas as pd
import pytest
from matplotlib import image

from autoloss.errors import RecordError
from autoloss.records.schema import Failure
from autoloss.records.store import read_record, write_record
from autoloss.report import runs
from autoloss.report.analysis import read_index, write_comparisons, write_index
from autoloss.report.catalogue import Product, tables
from autoloss.report.figures import write_figure
from autoloss.report.page import page as report_page
from autoloss.report.page.page import write_report
from autoloss.report.tables import write_table
from autoloss.study import identity
from autoloss.study.cell import Cell
from tests.studied import tiny_study, working_in

EVIL = "<script>alert('label')</script>"
FAILED = Cell("ml100k", "deepfm", "hinge")
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """What the tests ask of a page: ids, links, resources, and text by place."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids, self.links, self.resources, self.tags = [], [], [], []
        self.rows: list[list[tuple[str, str]]] = []  # of (text, href of its link)
        self._open: list[str] = []
        self.feed(text)
        assert not self._open, "tags that are not closed"

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.tags.append(tag)
        if tag not in VOID:
            self._open.append(tag)
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "a":
            self.links.append(found["href"])
        if tag in ("img", "script", "link", "iframe", "source"):
            self.resources += [found[key] for key in ("src", "href") if key in found]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append(("", ""))
        elif tag == "a" and self._cell():
            self.rows[-1][-1] = ("", found["href"])

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._cell():
            text, href = self.rows[-1][-1]
            self.rows[-1][-1] = (text + data, href)

    def _cell(self):
        return {"td", "th"} & set(self._open)


def planted_study():
    """The tiny study with a label that would be a script."""
    study = tiny_study()
    ce = study.methods["ce"]
    study.methods["ce"] = replace(ce, info=replace(ce.info, label=EVIL))
    return study


def fail(study, cell, seed):
    """Make a run's record one of a failed run."""
    file = study.record_file(cell, seed)
    failure = Failure(kind="TrainingDivergedError", message="loss is nan <i>", traceback="")
    over = {"status": "failed", "failure": failure, "metrics": {}, "digest": None}
    over["reliability"] = None
    write_record(read_record(file).model_copy(update=over), file)


@pytest.fixture(scope="module")
def folder(studied, tmp_path_factory):
    """A copy of the tiny study with a failed run and two figures, as the current folder."""
    copy = tmp_path_factory.mktemp("report") / "study"
    shutil.copytree(studied, copy)
    key = identity.report_key(tiny_study())  # what the indexes were made with
    with working_in(copy), patch.object(identity, "report_key", return_value=key):
        study = planted_study()
        fail(study, FAILED, 1)
        write_index(study, "table_2")
        write_comparisons(study, "table_2")
        list(write_table(study, "table_2"))
        for name in ("figure_3", "figure_4"):
            list(write_figure(study, name))
        yield copy


@pytest.fixture(scope="module")
def page(folder):
    return Page(write_report(planted_study()).read_text())


def text_of(folder):
    return (folder / "results" / "smoke" / "report.html").read_text()


def row(page, *starts):
    """The cells of the rows whose first ones are `starts`."""
    return [r for r in page.rows if tuple(text for text, _ in r[: len(starts)]) == starts]


def test_every_link_leads_somewhere(page, folder):
    assert len(page.ids) == len(set(page.ids))
    inside = {link[1:] for link in page.links if link.startswith("#")}
    outside = {link for link in page.links if not link.startswith("#")}
    assert inside <= set(page.ids)
    assert all((folder / "results" / "smoke" / unquote(link)).is_file() for link in outside)
    assert {"../../figures/smoke/figure_3.pdf", "tables/table_2.csv"} <= outside


def test_every_run_is_on_the_page_and_leads_to_its_record(page, folder):
    ids = {json.loads(file.read_text())["run_id"] for file in folder.glob("results/**/seed_*.json")}
    shown = {text: href for r in page.rows for text, href in r if text in ids}
    assert set(shown) == ids
    for run_id, href in shown.items():
        assert json.loads((folder / "results/smoke" / href).read_text())["run_id"] == run_id


def test_nothing_is_fetched(page, folder):
    assert all(resource.startswith("data:") for resource in page.resources)
    assert sum(resource.startswith("data:image/png") for resource in page.resources) == 2
    assert not re.search(r"https?://|@import|url\((?!data:)", text_of(folder))


def test_texts_from_elsewhere_are_escaped(page, folder):
    assert page.tags.count("script") == 1
    assert EVIL not in text_of(folder)
    assert "&lt;script&gt;alert(&#39;label&#39;)&lt;/script&gt;" in text_of(folder)
    assert "loss is nan &lt;i&gt;" in text_of(folder)


def test_tables_show_the_csvs_numbers_and_lead_to_their_runs(page, folder):
    table = pd.read_csv(folder / "results/smoke/tables/table_2.csv")
    shown = [cell for r in page.rows for cell in r if " ± " in cell[0]]
    for _, found in table[table["n"] == 2].iterrows():
        cell = f"{found['dataset']}/{found['model']}/{found['method']}"
        text = f"{found['mean']:.4f} ± {found['sd']:.4f}"
        assert any(t.startswith(text) and href == f"#runs/{cell}" for t, href in shown), cell


def test_budgets_and_failed_runs_are_those_of_the_files(page, folder):
    budget = pd.read_csv(folder / "results/smoke/budget/table_2.csv").iloc[0]
    (found, *_) = row(page, "/".join(budget[["dataset", "model", "method"]]))
    assert f"{budget['epochs_allowed']}" in [text for text, _ in found]
    (failed,) = row(page, str(FAILED), "1")
    assert [text for text, _ in failed[3:]] == ["TrainingDivergedError", "loss is nan <i>"]
    every = len(list(folder.glob("results/**/seed_*.json")))
    assert f"1 of {every} runs failed." in text_of(folder)


def test_published_values_stand_beside_ours(page):
    assert any(
        [text for text, _ in r][:2] == ["AutoLoss (frozen)", "0.8056"] for r in page.rows
    )  # Figure 3, NFM
    (by_f,) = row(page, "f = 10")
    assert (by_f[1][0], by_f[2][1]) == ("0.8087", "#runs/ml100k-ctr/deepfm/autoloss_every_10")
    assert any([text for text, _ in r][:2] == ["MeLU-style", "18.0"] for r in page.rows)


def test_same_files_same_bytes(page, folder):
    before = text_of(folder)
    assert write_report(planted_study()).read_text() == before
    newest = max(
        json.loads(file.read_text())["provenance"]["finished"]
        for file in folder.glob("results/**/seed_*.json")
    )
    assert newest in before


@pytest.mark.parametrize(
    ("file", "target"),
    [
        ("results/smoke/tables/table_1.csv", "table_1"),
        ("results/smoke/index/table_3.parquet", "table_3"),
        ("results/smoke/statistics/table_2.csv", "table_2"),
    ],
)
def test_a_missing_file_is_named_with_what_makes_it(folder, file, target):
    path, kept = folder / file, folder / "kept"
    path.rename(kept)
    try:
        with pytest.raises(
            RecordError, match=f"{Path(file).name}.*\n.*`snakemake .*{target} --configfile "
        ):
            write_report(planted_study())
    finally:
        kept.rename(path)


def test_groups_of_other_runs_are_left_out_and_said_to_be(folder):
    file = folder / "results/smoke/index/controls.parquet"
    content = file.read_bytes()
    index = read_index(planted_study(), "controls")
    index.assign(run_id="old").to_parquet(file, index=False)
    try:
        text = write_report(planted_study()).read_text()
        assert "controls is left out: " in text
        assert "run `snakemake --cores all controls --configfile" in text
        assert 'id="controls"' not in text
    finally:
        file.write_bytes(content)
        write_report(planted_study())


def test_a_damaged_figure_is_an_error_and_a_missing_one_is_said_to_be(folder, page):
    about, png = (planted_study().figures_folder / f"figure_3.{kind}" for kind in ("json", "png"))
    kept = about.read_text()
    assert "snakemake --cores all gains" in text_of(folder)
    about.write_text("{}")
    try:
        with pytest.raises(RecordError, match="lacks caption, command, runs, title"):
            write_report(planted_study())
    finally:
        about.write_text(kept)
    picture = png.read_bytes()
    try:
        for content in (b"", picture[:-20], b"GIF89a" + picture):
            png.write_bytes(content)
            with pytest.raises(RecordError, match=r"figure_3\.png: is not a PNG.*\n.* figure_3 "):
                write_report(planted_study())
    finally:
        png.write_bytes(picture)


def test_pictures_have_their_size_before_they_are_there(folder, page):
    sizes = re.findall(r'<img [^>]*width="(\d+)" height="(\d+)"', text_of(folder))
    shown = [image.imread(planted_study().figures_folder / f"figure_{k}.png") for k in (3, 4)]
    assert [(int(w), int(h)) for w, h in sizes] == [
        (round(pixels.shape[1] * 2 / 3), round(pixels.shape[0] * 2 / 3)) for pixels in shown
    ]


def test_a_groups_runs_are_shown_whatever_else_would_show_them(folder, page, monkeypatch):
    """A table of figure 4's runs that is not made takes them from no figure."""
    study, table = planted_study(), Product("Mine", ("figure_4",), 9, in_all=False)
    monkeypatch.setattr(runs, "tables", lambda: {**tables(), "mine": table})
    assert "figure_4" in runs.read_runs(study).groups


def test_a_table_of_a_damaged_index_is_left_out_with_a_note(folder, page, monkeypatch):
    every = {**tables(), "mine": Product("Mine", ("figure_3",), 9)}
    for module in (runs, report_page):
        monkeypatch.setattr(module, "tables", lambda: every)
    study = planted_study()
    index, file = study.index_file("figure_3"), study.results / "tables" / "mine.csv"
    content = index.read_bytes()
    read_index(study, "figure_3").assign(run_id="old").to_parquet(index, index=False)
    file.touch()
    try:
        text = write_report(study).read_text()
        assert "figure_3 is left out: " in text
        assert 'id="mine"' not in text
    finally:
        file.unlink()
        index.write_bytes(content)
        monkeypatch.undo()
        write_report(study)
