"""The report: `results/<name>/report.html`, the whole study on one page that needs no network.

Nothing is computed here that the files do not say, and no time is printed but the newest run's: the
same files give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from autoloss.errors import RecordError
from autoloss.records.store import write_text
from autoloss.report.catalogue import tables
from autoloss.report.frames import read_csv
from autoloss.report.page.claims import verdicts
from autoloss.report.page.facts import facts
from autoloss.report.page.outcomes import all_outcomes, title_of
from autoloss.report.page.pictures import missing, pictures
from autoloss.report.page.runs import budget_grid, failed_grid, run_grids
from autoloss.report.page.versus import versus
from autoloss.report.runs import Runs, label_of, read_runs
from autoloss.report.table import DIRECTION, GLYPHS, Grid, marks_of, meanings, runs_of
from autoloss.report.tables import make_table
from autoloss.study.study import Study
from autoloss.target import snakemake


def write_report(study: Study) -> Path:
    """The report of a study, from its records and products only.

    Raises:
        RecordError: Tables 1 to 3, or a file that they rest on, are missing or damaged.
    """
    environment = Environment(
        loader=PackageLoader("autoloss.report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(_content(study))
    return write_text(page, study.results / "report.html")


def _content(study: Study) -> dict[str, Any]:
    """What the template shows, section by section."""
    runs = read_runs(study)
    outcomes = all_outcomes(runs)
    drawn = list(pictures(study, runs.records.keys()))
    cells = runs.cells()
    return {
        "study": study,
        "root": Path(os.path.relpath(study.root, study.root / study.results)).as_posix(),
        "newest": runs.newest,
        "runs": len(runs.records),
        "notes": runs.left_out,
        "verdicts": verdicts(runs),
        "outcomes": outcomes,
        "findings": [outcome for outcome in outcomes if outcome.group == outcomes[0].group],
        "tables": list(_tables(runs)),
        "marks_of": marks_of,
        "meanings": meanings([label_of(study, method) for method in study.ours("table_2")]),
        "glyphs": GLYPHS,
        "direction": DIRECTION,
        "pictures": drawn,
        "missing": missing(study, {picture.name for picture in drawn}),
        "versus": list(versus(runs)),
        "papers_own": study.is_the_papers({cell.dataset for cell in cells}),
        "cells": list(run_grids(runs)),
        "shown": {runs_of(cell) for cell in cells},
        "budgets": list(_budgets(runs)),
        "failed": failed_grid(study, runs.records),
        "facts": facts(runs.records.values()),
        "config": study.config.model_dump_json(indent=2),
    }


def _tables(runs: Runs) -> Iterator[dict[str, Any]]:
    """The tables of `all`, and the others that have been made, of the groups that are there."""
    for name, product in tables().items():
        file = runs.study.results / "tables" / f"{name}.csv"
        if not file.exists():
            if product.in_all:
                raise RecordError(str(file), "no such file", f"run `{snakemake(runs.study, name)}`")
        elif set(product.groups) <= runs.groups.keys():
            links = {s: f"tables/{name}.{s}" for s in ("csv", "md", "tex")}
            yield {"name": name, "table": make_table(runs.study, name), "links": links}


def _budgets(runs: Runs) -> Iterator[Grid]:
    for group in runs.groups:
        file = runs.study.results / "budget" / f"{group}.csv"
        if file.exists():
            yield budget_grid(read_csv(file), title_of(runs.study, group))
