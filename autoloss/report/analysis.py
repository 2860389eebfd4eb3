"""From records to files: the index, crashes, budget and statistics of a group of runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from autoloss.errors import ConfigError, RecordError, did_you_mean
from autoloss.metrics import METRICS
from autoloss.records.failures import crashed, say_crashed
from autoloss.records.index import build_index
from autoloss.records.store import write_text
from autoloss.report.budget import budget_table, check_budget
from autoloss.report.frames import read_csv
from autoloss.study import identity
from autoloss.study.groups import GROUPS, UNTESTED
from autoloss.study.study import Study
from autoloss.target import snakemake

KEY = "report_key"  # column of an index file: the study's when it was made


def analyse(study: Study, group: str) -> Iterator[Path]:
    """All that is made of a group's runs before tables and figures are.

    Raises:
        ConfigError: there is no such group.
        RecordError: a run is missing, damaged, of another study, or had more budget than it may.
    """
    yield write_index(study, group)
    yield write_crashes(study, group)
    yield write_budget(study, group)
    if group not in UNTESTED:
        yield write_comparisons(study, group)


def write_index(study: Study, group: str) -> Path:
    """One row per run of a table or figure: `index/<group>.parquet`."""
    file = _index_file(study, group)
    file.parent.mkdir(parents=True, exist_ok=True)
    index = build_index(study, study.cells(group))
    index.assign(**{KEY: identity.report_key(study)}).to_parquet(file, index=False)
    return file


def write_crashes(study: Study, group: str) -> Path:
    """What a user is told of cells whose method raised: `crashes/<group>.txt`, maybe empty."""
    lines = list(crashed(study, study.cells(group)))
    file = study.results / "crashes" / f"{group}.txt"
    return write_text(say_crashed(lines) + "\n" if lines else "", file)


def write_budget(study: Study, group: str) -> Path:
    """What each cell's runs cost: `budget/<group>.csv`; an error if one had more than it may."""
    index = read_index(study, group)
    file = study.results / "budget" / f"{group}.csv"
    budgets = budget_table(study, index)
    check_budget(budgets)
    write_text(budgets.to_csv(index=False), file)
    return file


def write_comparisons(study: Study, group: str) -> Path:
    """Ours against each other method: `statistics/<group>.csv`, one row per comparison."""
    from autoloss.stats import compare_family  # with scipy, half of what an index takes

    options = study.config.statistics
    comparisons = compare_family(
        read_index(study, group),
        study.ours(group),
        list(METRICS),
        alpha=options.alpha,
        confidence=options.confidence,
    )
    file = study.results / "statistics" / f"{group}.csv"
    write_text(comparisons.to_csv(index=False), file)
    return file


def read_index(study: Study, group: str) -> pd.DataFrame:
    """The index of a group.

    Raises:
        RecordError: it has not been made, or not of this configuration and by this code, or it is
            damaged.
    """
    file = made(study, _index_file(study, group), group)
    mend = f"delete it, then run `{snakemake(study, group)}`: it is made anew from the runs"
    try:
        index = pd.read_parquet(file)
    except ValueError as error:
        raise RecordError(str(file), f"is damaged: {error}", mend) from error
    if KEY not in index or (index[KEY] != identity.report_key(study)).any():
        problem = "was made of another configuration, or by other code"
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
    study.require(group)
    return study.index_file(group)
