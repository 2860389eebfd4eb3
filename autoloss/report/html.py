"""The report: `results/<name>/report.html`, the whole study on one page that needs no network.

Nothing is computed here that the files do not say, and no time is printed but the newest run's: the
same files give the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from autoloss.errors import RecordError
from autoloss.records.store import write_text
from autoloss.registry import FULL, MODELS, TABLES
from autoloss.report.evidence import Evidence, label_of, read_evidence
from autoloss.report.facts import facts
from autoloss.report.frames import read_csv
from autoloss.report.grids import (
    Grid,
    anchor,
    budget_grid,
    failed_grid,
    run_grids,
    table_grids,
)
from autoloss.report.outcomes import GROUP_TITLES, all_outcomes
from autoloss.report.pictures import missing, pictures
from autoloss.report.products import make_table
from autoloss.report.tables import MARKS
from autoloss.report.verdicts import verdicts
from autoloss.report.versus import versus
from autoloss.study import Study
from autoloss.target import snakemake

GLYPHS = {"star": "*", "worse": "↓", "better": "↑"}


def write_report(study: Study) -> Path:
    """The report of a study, from its records and products only.

    Raises:
        RecordError: Tables 1 to 3, or a file that they rest on, are missing or damaged.
    """
    environment = Environment(
        loader=PackageLoader("autoloss", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2").render(_content(study))
    return write_text(page, study.results / "report.html")


def _content(study: Study) -> dict[str, Any]:
    """What the template shows, section by section."""
    evidence = read_evidence(study)
    drawn = list(pictures(study, evidence.records.keys()))
    return {
        "study": study,
        "newest": evidence.newest,
        "runs": len(evidence.records),
        "notes": evidence.left_out,
        "verdicts": verdicts(evidence),
        "outcomes": all_outcomes(evidence),
        "tables": list(_tables(study, ("table_1", *evidence.groups))),
        "marks": MARKS,
        "glyphs": GLYPHS,
        "pictures": drawn,
        "missing": missing(study, {picture.name for picture in drawn}),
        "versus": list(versus(evidence)),
        "papers_own": study.is_the_papers({cell.dataset for cell in evidence.cells()}),
        "cells": list(_cells(evidence)),
        "budgets": list(_budgets(evidence)),
        "failed": failed_grid(study, evidence.records),
        "facts": facts(evidence.records.values()),
        "config": study.config.model_dump_json(indent=2),
    }


def _tables(study: Study, groups: Collection[str]) -> Iterator[dict[str, Any]]:
    """Tables 1 to 3, and the others that have been made, of these groups."""
    for name in ("table_1", "table_2", "table_3", *TABLES[2:], FULL, "sensitivity"):
        file = study.results / "tables" / f"{name}.csv"
        if file.exists() and name in groups:
            table = make_table(study, name)
            links = {s: f"tables/{name}.{s}" for s in ("csv", "md", "tex")}
            grids = table_grids(table)
            used = {item.mark for grid in grids for row in grid.rows for item in row}
            yield {"name": name, "table": table, "grids": grids, "links": links} | {
                "marked": [mark for mark in MARKS if mark in used]
            }
        elif name in ("table_1", "table_2", "table_3"):
            raise RecordError(str(file), "no such file", f"run `{snakemake(study, name)}`")


def _cells(evidence: Evidence) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The runs: per data set and model a heading, and per cell its anchor and runs."""
    grids = run_grids(evidence)
    for (dataset, model), cells in groupby(grids, key=lambda cell: (cell.dataset, cell.model)):
        title = f"{evidence.study.dataset(dataset).title}, {MODELS.get(model, model)}"
        yield (
            title,
            [
                {
                    "id": anchor(cell),
                    "label": label_of(evidence.study, cell.method),
                    "grid": grids[cell],
                }
                for cell in cells
            ],
        )


def _budgets(evidence: Evidence) -> Iterator[Grid]:
    for group in evidence.groups:
        file = evidence.study.results / "budget" / f"{group}.csv"
        if file.exists():
            yield budget_grid(evidence.study, read_csv(file), GROUP_TITLES[group])
