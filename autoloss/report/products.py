"""From records to files: the index, budgets, statistics and tables of a study."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from autoloss.data.manifest import Manifest, read_manifest
from autoloss.errors import ConfigError, RecordError, did_you_mean
from autoloss.metrics import METRICS
from autoloss.records.index import build_index
from autoloss.records.store import write_text
from autoloss.registry import FULL, OWN, TABLES
from autoloss.report.budget import budget_table, check_budget
from autoloss.report.published import load_published
from autoloss.report.render import to_latex, to_markdown
from autoloss.report.tables import Table, data_table, methods_table
from autoloss.stats import compare_family, describe
from autoloss.study import Study


def write_index(study: Study, table: str) -> Path:
    """One row per run of a table: `index/<table>.parquet`."""
    file = study.results / "index" / f"{table}.parquet"
    file.parent.mkdir(parents=True, exist_ok=True)
    build_index(study, study.cells(table)).to_parquet(file, index=False)
    return file


def write_budget(study: Study, table: str) -> Path:
    """What each cell's runs cost: `budget/<table>.csv`; an error if one had more than it may."""
    index = _index(study, table)
    file = study.results / "budget" / f"{table}.csv"
    budgets = budget_table(study, index)
    check_budget(budgets)
    write_text(budgets.to_csv(index=False), file)
    return file


def write_comparisons(study: Study, table: str) -> Path:
    """AutoLoss against each other method: `statistics/<table>.csv`, one row per comparison."""
    options = study.config.statistics
    comparisons = compare_family(
        _index(study, table),
        OWN,
        list(METRICS),
        alpha=options.alpha,
        confidence=options.confidence,
        resamples=options.resamples,
    )
    file = study.results / "statistics" / f"{table}.csv"
    write_text(comparisons.to_csv(index=False), file)
    return file


def write_table(study: Study, name: str) -> Iterator[Path]:
    """A table in three formats: `tables/<name>.{csv,md,tex}`."""
    known = ("table_1", *TABLES, FULL)
    if name not in known:
        raise ConfigError("table", f"there is no '{name}'", did_you_mean(name, known))
    table = _data_table(study) if name == "table_1" else _methods_table(study, name)
    texts = {
        "csv": table.long.to_csv(index=False),
        "md": to_markdown(table),
        "tex": to_latex(table, label=name),
    }
    for suffix, text in texts.items():
        file = study.results / "tables" / f"{name}.{suffix}"
        write_text(text, file)
        yield file


def _data_table(study: Study) -> Table:
    names = dict.fromkeys(cell.dataset for cell in study.all_cells())
    folders = [study.prepared_folder(name) for name in names]
    manifests = [read_manifest(folder, Manifest, "run snakemake again") for folder in folders]
    return data_table(manifests, load_published(study.root))


def _methods_table(study: Study, name: str) -> Table:
    index = _index(study, name)
    file = study.results / "statistics" / f"{name}.csv"
    return methods_table(
        name,
        describe(index, list(METRICS)),
        pd.read_csv(file),
        {method: entry.info.label for method, entry in study.methods.items()},
        {dataset: study.dataset(dataset) for dataset in index["dataset"].unique()},
        load_published(study.root),
        study.config.statistics.alpha,
    )


def _index(study: Study, table: str) -> pd.DataFrame:
    file = study.results / "index" / f"{table}.parquet"
    if not file.exists():
        raise RecordError(str(file), "no such file", f"run `snakemake --cores all {table}`")
    return pd.read_parquet(file)
