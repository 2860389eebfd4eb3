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
from autoloss.registry import FULL, GROUPS, TABLES
from autoloss.report.budget import budget_table, check_budget
from autoloss.report.frames import read_csv
from autoloss.report.published import load_published
from autoloss.report.render import to_latex, to_markdown
from autoloss.report.sensitivity_table import sensitivity_table
from autoloss.report.tables import Table, data_table, methods_table
from autoloss.stats import compare_family, describe
from autoloss.study import Study
from autoloss.target import snakemake

KEY = "report_key"  # column of an index file: the study's when it was made


def write_index(study: Study, group: str) -> Path:
    """One row per run of a table or figure: `index/<group>.parquet`."""
    file = _index_file(study, group)
    file.parent.mkdir(parents=True, exist_ok=True)
    index = build_index(study, study.cells(group))
    index.assign(**{KEY: study.report_key}).to_parquet(file, index=False)
    return file


def write_budget(study: Study, group: str) -> Path:
    """What each cell's runs cost: `budget/<group>.csv`; an error if one had more than it may."""
    index = read_index(study, group)
    file = study.results / "budget" / f"{group}.csv"
    budgets = budget_table(study, index)
    check_budget(budgets)
    write_text(budgets.to_csv(index=False), file)
    return file


def write_comparisons(study: Study, group: str) -> Path:
    """Our method against each other one: `statistics/<group>.csv`, one row per comparison."""
    options = study.config.statistics
    comparisons = compare_family(
        read_index(study, group),
        study.ours(group),
        list(METRICS),
        alpha=options.alpha,
        confidence=options.confidence,
        resamples=options.resamples,
    )
    file = study.results / "statistics" / f"{group}.csv"
    write_text(comparisons.to_csv(index=False), file)
    return file


def write_table(study: Study, name: str) -> Iterator[Path]:
    """A table in three formats: `tables/<name>.{csv,md,tex}`."""
    table = make_table(study, name)
    texts = {
        "csv": table.long.to_csv(index=False),
        "md": to_markdown(table),
        "tex": to_latex(table, label=name),
    }
    for suffix, text in texts.items():
        file = study.results / "tables" / f"{name}.{suffix}"
        write_text(text, file)
        yield file


def make_table(study: Study, name: str) -> Table:
    """A table's content, from the data's manifests or from an index and its comparisons."""
    known = ("table_1", *TABLES, FULL, "sensitivity")
    if name not in known:
        raise ConfigError("table", f"there is no '{name}'", did_you_mean(name, known))
    if name == "sensitivity":
        return sensitivity_table(study, read_index(study, name))
    return _data_table(study) if name == "table_1" else _methods_table(study, name)


def _data_table(study: Study) -> Table:
    names = dict.fromkeys(cell.dataset for cell in study.all_cells())
    folders = [study.prepared_folder(name) for name in names]
    mend = f"run `{snakemake(study, 'table_1')}`"
    manifests = [read_manifest(folder, Manifest, mend) for folder in folders]
    return data_table(manifests, load_published(study.root))


def _methods_table(study: Study, name: str) -> Table:
    index = read_index(study, name)
    return methods_table(
        name,
        describe(index, list(METRICS)),
        read_comparisons(study, name),
        {method: entry.info.label for method, entry in study.methods.items()},
        {dataset: study.dataset(dataset) for dataset in index["dataset"].unique()},
        load_published(study.root),
        study.config.statistics.alpha,
    )


def read_index(study: Study, group: str) -> pd.DataFrame:
    """The index of a group.

    Raises:
        RecordError: it has not been made, or not of this configuration and by this code.
    """
    file = made(study, _index_file(study, group), group)
    index = pd.read_parquet(file)
    if KEY not in index or (index[KEY] != study.report_key).any():
        problem = "was made of another configuration, or by other code"
        mend = f"delete it, then run `{snakemake(study, group)}`: it is made anew from the runs"
        raise RecordError(str(file), problem, mend)
    return index.drop(columns=KEY)


def read_comparisons(study: Study, group: str) -> pd.DataFrame:
    """The comparisons of a group; raises as `read_index`."""
    return read_csv(made(study, study.results / "statistics" / f"{group}.csv", group))


def made(study: Study, file: Path, *target: str) -> Path:
    """A product's `file`, which `target` makes; a RecordError if it has not been made."""
    if not file.exists():
        raise RecordError(str(file), "no such file", f"run `{snakemake(study, *target)}`")
    return file


def _index_file(study: Study, group: str) -> Path:
    if group not in GROUPS:
        raise ConfigError("group", f"there is no '{group}'", did_you_mean(group, GROUPS))
    return study.index_file(group)
