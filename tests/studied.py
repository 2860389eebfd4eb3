"""A whole study on tiny data, trained and analysed without Snakemake: for figures and reports."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from autoloss.config import overlay
from autoloss.report.analysis import analyse
from autoloss.report.tables import write_table
from autoloss.search.run import search
from autoloss.study.cell import Cell
from autoloss.study.groups import APART, GROUPS
from autoloss.study.study import Study
from autoloss.training.runner import Runner
from tests.tiny import ROOT, TASKS, tiny_config, tiny_splits

METHODS = ["focal", "kl", "hinge", "ce", "ce_more_data", "bohb", "slf", "darts", "melu", "autoloss"]
METHODS += ["autoloss_ce"]
DATASETS = {"ml100k-ctr": "binary", "ml100k": "rating", "adult": "binary"}
# Some of its cells.
CE = Cell("ml100k-ctr", "deepfm", "ce")
OURS = Cell("ml100k-ctr", "deepfm", "autoloss")
BOHB = Cell("ml100k-ctr", "deepfm", "bohb")
FROZEN = Cell("ml100k-ctr", "nfm", "autoloss_frozen")


def tiny_study(ours: list[str] | None = None, **keys: object) -> Study:
    """All groups, ten methods, one model in the tables, two seeds."""
    study = {"methods": METHODS, "models": ["deepfm"], "seeds": 2, "seeds_per_job": 2, **keys}
    statistics = {"ours": ours} if ours else {}
    return Study(overlay(tiny_config(), {"study": study, "statistics": statistics}, "test"), ROOT)


def run_study(study: Study) -> None:
    """Data, searches, runs, indexes, budgets, statistics and tables, in the current folder."""
    for name, task in DATASETS.items():
        tiny_splits(study, name, TASKS[task])
    runner = Runner(study, lambda line: None)
    cells = study.all_cells()
    for cell in sorted(cells, key=lambda cell: study.controller_of(cell) is not None):
        if study.searches(cell):
            search(study, cell, lambda line: None)
        for first, last in study.shards():
            runner.train_shard(cell, first, last)
    for group in GROUPS:
        if group not in APART:
            list(analyse(study, group))
    for table in ("table_1", "table_2", "table_3", "published", "controls"):
        list(write_table(study, table))


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """The current folder is `folder`: paths of a study are relative."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
