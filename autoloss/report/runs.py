"""The runs that the report rests on: the indexes that are there, and the records they list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from autoloss.errors import RecordError
from autoloss.records.schema import Record
from autoloss.records.store import read_record
from autoloss.report.analysis import read_index
from autoloss.report.catalogue import figures, tables
from autoloss.report.frames import cell_of, rows_of
from autoloss.study.cell import Cell
from autoloss.study.groups import GROUPS
from autoloss.study.study import Study
from autoloss.target import snakemake

NEEDED = ("table_2", "table_3")  # no report without these


@dataclass(frozen=True)
class Runs:
    """A study's runs, by group and by id, and why a group is not among them."""

    study: Study
    groups: Mapping[str, pd.DataFrame]
    records: Mapping[str, Record]
    left_out: tuple[str, ...]

    def cells(self) -> dict[Cell, list[dict[str, Any]]]:
        """The index's rows of every cell, each run once; cells of a data set and model together."""
        runs = pd.concat(self.groups.values(), ignore_index=True).drop_duplicates("run_id")
        rows: dict[Cell, list[dict[str, Any]]] = {}
        for _, pair in runs.groupby(["dataset", "model"], sort=False):
            for row in rows_of(pair):
                rows.setdefault(cell_of(row), []).append(row)
        return rows

    @property
    def newest(self) -> str:
        """When the newest run finished: the report's own date, so that it is reproducible."""
        return max(record.provenance.finished for record in self.records.values())


def read_runs(study: Study) -> Runs:
    """The runs of all groups that are there.

    Raises:
        RecordError: Table 2's or 3's are not, or are not those of the records.
    """
    groups: dict[str, pd.DataFrame] = {}
    records: dict[str, Record] = {}
    left_out = []
    for group in _present(study):
        try:
            index = read_index(study, group)
            read = dict(_records(study, group, index))
        except RecordError as error:
            if group in NEEDED:
                raise
            left_out.append(f"{group} is left out: {error.where} {error.problem}; {error.mend}.")
            continue
        groups[group] = index
        records |= read
    return Runs(study, groups, records, tuple(left_out))


def _present(study: Study) -> list[str]:
    """Groups that the report needs, those of tables that are made, and those of figures."""
    drawn = {group for figure in figures().values() for group in figure.groups}
    made = {group for group in drawn if study.index_file(group).exists()}
    made |= {
        group
        for name, table in tables().items()
        if (study.results / "tables" / f"{name}.csv").exists()
        for group in table.groups
    }
    return [g for g in GROUPS if (g in made and study.has(g)) or g in NEEDED]


def _records(study: Study, group: str, index: pd.DataFrame) -> Iterator[tuple[str, Record]]:
    for row in rows_of(index):
        file = study.record_file(cell_of(row), row["seed"])
        record = read_record(file)
        if record.run_id != row["run_id"]:
            raise RecordError(
                str(study.index_file(group)),
                f"has run {row['run_id']} where {file} is of run {record.run_id}",
                f"run `{snakemake(study, group)}`",
            )
        yield record.run_id, record


def label_of(study: Study, method: str) -> str:
    """What the report calls a method; its name where its file is gone."""
    return study.label(method) if study.base(method) in study.methods else method
