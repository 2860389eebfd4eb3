"""Studies of little: of AutoLoss alone, one seed, methods that a table has none of."""

from __future__ import annotations

import shutil

import pytest

from autoloss.claims.files import write_verdicts
from autoloss.methods.info import TABLES
from autoloss.report.analysis import analyse
from autoloss.report.figures import write_figure
from autoloss.report.page.page import write_report
from autoloss.report.tables import write_table
from autoloss.study.groups import APART, GROUPS
from tests.studied import tiny_study, working_in

LITTLE = {"seeds": 1, "seeds_per_job": 1, "frequencies": [7], "datasets": ["ml100k-ctr"]}
TARGET = [{"dataset": "ml100k-ctr", "model": "nfm"}]
ODD = [
    {"methods": ["autoloss"], **LITTLE, "targets": TARGET},
    {"methods": ["autoloss", "bohb"]},
    {"methods": ["autoloss", "autoloss_ce"], "datasets": ["ml100k"]},
]


@pytest.mark.parametrize("keys", ODD)
def test_an_odd_study_makes_what_it_can(studied, tmp_path, keys):
    """Over the records of a whole study: every table, the figures that it has, and the report."""
    study = tiny_study(**keys)
    shutil.copytree(studied, tmp_path / "study", ignore=shutil.ignore_patterns(".state"))
    with working_in(tmp_path / "study"):
        for part in ("index", "crashes", "budget", "statistics", "tables"):
            shutil.rmtree(study.results / part)
        for group in set(GROUPS) - set(APART):
            list(analyse(study, group))
        for table in ("table_1", "table_2", "table_3", "published", "controls"):
            assert all(file.stat().st_size for file in write_table(study, table))
        for figure in study.figures():
            assert all(file.stat().st_size for file in write_figure(study, figure))
        assert list(write_verdicts(study))
        report = write_report(study).read_text()
    assert "AutoLoss" in report
    alone = not all(map(study.comparisons, TABLES))
    assert ("no other method here" in report) == alone
