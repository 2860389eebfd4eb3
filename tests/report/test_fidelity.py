"""docs/fidelity.md: what it says of defaults is so, and it is that of the files."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace

import pandas as pd
import pytest
from pydantic import ValidationError

from autoloss.config import flat, load_config
from autoloss.fidelity import STANDINGS, Statement
from autoloss.folder import entries
from autoloss.methods.discover import discover
from autoloss.methods.info import Info
from autoloss.methods.options import options_of
from autoloss.report.fidelity import REFERENCE, STUDY, fidelity_page, standing_of
from autoloss.study import selection
from tests.tiny import ROOT, project_methods

METHODS = discover()
PAPER = load_config({"scale": "paper", "protocol": "published"}, ROOT)
ROW = ("aspect", "§1", "said", "as written")


def of_options():
    """Each row that names options: where, what is the default there, and the row."""
    for name, entry in METHODS.items():
        info = METHODS[entry.info.base].info if entry.info.base else entry.info
        defaults = options_of(info, PAPER.methods.get(info.name, {}), METHODS)
        yield from ((name, defaults, row) for row in entry.info.fidelity)
    for room, section in (("models", PAPER.model), ("losses", PAPER.losses)):
        for name, entry in entries(room).items():
            yield from ((name, section.model_dump(mode="json"), row) for row in entry.fidelity)
    for row in STUDY:
        yield "the study", dict(flat(PAPER.model_dump(mode="json"))), row


OPTIONS = [(where, *rest) for where, *rest in of_options() if not isinstance(rest[1].standing, str)]


@pytest.mark.parametrize(("where", "defaults", "row"), OPTIONS)
def test_what_is_an_option_is_no_default_at_the_papers_scale(where, defaults, row):
    assert row.standing.keys() <= defaults.keys(), f"{where}: no such option"
    for key, value in row.standing.items():
        assert defaults[key] != value, f"{where}: {key} is {value} by default"


def test_every_method_model_and_loss_of_the_project_says_what_it_does():
    """What the reader has added need not."""
    page = (ROOT / "docs" / "fidelity.md").read_text()
    infos = {name: METHODS[name].info for name in project_methods()}
    for room in ("models", "losses"):
        infos |= {name: info for name, info in entries(room).items() if f"\n`{name}`\n" in page}
    assert len(infos) > 25
    assert not [name for name, info in infos.items() if not info.fidelity]


def test_an_aspect_is_said_once():
    for info in (entry.info for entry in METHODS.values()):
        aspects = [row.aspect for row in info.fidelity]
        assert len(set(aspects)) == len(aspects), info.name


def test_the_page_is_that_of_the_files():
    """A method of the reader's own may have rows beside."""
    page = (ROOT / "docs" / "fidelity.md").read_text()
    lines = iter(fidelity_page(ROOT).splitlines())
    assert all(line in lines for line in page.splitlines()), "write it again: autoloss fidelity"
    assert {line.count(" |") for line in page.splitlines() if line.startswith("| aspect")} == {5}
    for words in STANDINGS.values():
        assert f"| {words}" in page


def test_a_row_leads_to_its_row_of_the_deviations_where_there_is_one():
    rows = [row for entry in METHODS.values() for row in entry.info.fidelity]
    rows += [
        row for room in ("models", "losses") for e in entries(room).values() for row in e.fidelity
    ]
    named = {row.deviation for row in [*rows, *STUDY] if row.deviation}
    known = re.findall(r'<a id="\w+"></a>(\w+) ', (ROOT / "docs" / "deviations.md").read_text())
    assert named <= set(known)
    unsaid = {"M4", "M12", "T4", "T5", "T6", "F3", "D1", "D9"}  # of what no row speaks
    assert set(known) - named == unsaid
    (shown,) = [row for row in METHODS["autoloss"].info.fidelity if row.aspect == "temperature"]
    assert standing_of(shown) == "as written ([M9](deviations.md#m9))"


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (("aspect", "§1", "said"), "Field required"),
        (("aspect", "", "said", "as written"), "pattern"),
        (("aspect", "§1", "said", "as we like"), "as written"),
        (("aspect", "§1", "said", {}), "at least 1"),
        ((*ROW, "here", "deviations.md#m7"), "pattern"),
        ((*ROW, "here", "M7", "more"), "at most 6 items"),
    ],
)
def test_a_row_that_is_none_is_refused(row, problem):
    about = {"name": "a", "label": "A", "summary": "a", "paper": "a", "weights": "global"}
    about |= {"learns_on": "nothing"}
    assert Info(**about, fidelity=(ROW,)).fidelity == (Statement(*ROW, "the same"),)
    with pytest.raises(ValidationError, match=problem):
        Info(**about, fidelity=(row,))


def sensitivity(reading, dataset, mean):
    row = {"dataset": dataset, "model": "deepfm", "reading": reading, "metric": "auc"}
    return row | {"mean": mean, "low": mean - 0.001, "high": mean + 0.001}


def test_effects_are_those_of_the_reference_and_what_is_not_measured_is_said(tmp_path, monkeypatch):
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    rates = Statement("rates", "MeLU, code", "5e-6", {"lr": 0.00005})
    info = replace(METHODS["darts"].info, name="melu_published", base="melu", fidelity=(rates,))
    entry = replace(METHODS["darts"], info=info)
    monkeypatch.setattr(selection, "discover", lambda: METHODS | {"melu_published": entry})
    bare = fidelity_page(tmp_path)
    (batch,) = [line for line in bare.splitlines() if line.startswith("| `training.batch_size` |")]
    assert batch == "| `training.batch_size` | 2000 | 512 | not measured |"
    assert "MeLU" in bare.partition("## What of the originals")[2]
    folder = tmp_path / REFERENCE
    (folder / "tables").mkdir(parents=True)
    readings = [sensitivity("batch_2000", "ml100k-ctr", 0.0125), sensitivity("halves", "x", 0.5)]
    pd.DataFrame(readings).to_csv(folder / "tables" / "sensitivity.csv", index=False)
    runs = [("melu", 0.7), ("melu", 0.8), ("melu_published", 0.6), ("melu_published", 0.8)]
    about = {"dataset": "ml100k-ctr", "model": "deepfm"}
    frame = pd.DataFrame([about | {"method": name, "auc": auc} for name, auc in runs])
    frame.to_csv(folder / "runs.csv", index=False)
    lines = fidelity_page(tmp_path).splitlines()
    effect = "ml100k-ctr +0.0125 [+0.0115, +0.0135] ([T3](deviations.md#t3))"
    assert f"| `training.batch_size` | 2000 | 512 | {effect} |" in lines
    melu = [line.split(" | ") for line in lines if line.startswith("| MeLU")]
    effects = {row[1]: row[-1] for row in melu if len(row) == 5}
    assert effects == {"rates": "ml100k-ctr/deepfm -0.0500 |", "tasks": "not measured |"}


def test_the_scales_differ_in_what_the_page_lists():
    page = fidelity_page(ROOT).partition("## What a small study departs in")[2]
    for key in ("training.batch_size", "training.max_epochs", "study.datasets"):
        assert f"| `{key}` |" in page
    assert "`scale`" not in page.replace("the scales `paper`", "")
    assert "seeds_per_job" not in page
