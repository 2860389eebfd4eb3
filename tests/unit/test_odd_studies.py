"""Studies of little: of AutoLoss alone, one seed, methods that a table has none of; of others."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from autoloss.claims.files import write_verdicts
from autoloss.errors import ConfigError
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
ABOUT = [  # of per-example weights with a frozen network, and of global ones; without AutoLoss
    ({"methods": ["ce", "slf", "melu"]}, ["slf"]),
    ({"methods": ["focal", "bohb"]}, ["bohb", "focal"]),
]


@pytest.mark.parametrize(("keys", "ours"), [*((keys, None) for keys in ODD), *ABOUT])
def test_an_odd_study_makes_what_it_can(studied, tmp_path, keys, ours):
    """Over the records of a whole study: every table, the figures that it has, and the report."""
    study = tiny_study(ours, **keys)
    shutil.copytree(studied, tmp_path / "study", ignore=shutil.ignore_patterns(".state"))
    with working_in(tmp_path / "study"):
        for part in ("index", "crashes", "budget", "statistics", "tables"):
            shutil.rmtree(study.results / part)
        for group in filter(study.has, {*GROUPS} - {*APART}):
            list(analyse(study, group))
        for table in ("table_1", "table_2", "table_3", "published", "controls"):
            assert all(file.stat().st_size for file in write_table(study, table))
        for figure in study.figures():
            assert all(file.stat().st_size for file in write_figure(study, figure))
        if ours:
            with pytest.raises(ConfigError, match="no claim for a study about"):
                list(write_verdicts(study))
            label, text = (
                study.label(ours[0]),
                Path(study.results / "tables/table_3.md").read_text(),
            )
            assert f"### Table 3: components of {label}, test split" in text
            compared = pd.read_csv(study.results / "statistics" / "table_2.csv")
            assert {*compared["ours"]} <= {*ours} <= {*compared["ours"], *compared["other"]}
        else:
            assert list(write_verdicts(study))
        report = write_report(study).read_text()
    assert "AutoLoss" in report
    alone = not all(map(study.comparisons, TABLES))
    assert ("no other method here" in report) == alone
