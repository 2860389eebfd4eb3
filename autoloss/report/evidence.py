"""What the report rests on: the indexes that are there, and the records that they list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from autoloss.errors import RecordError
from autoloss.records.schema import Record
from autoloss.records.store import read_record
from autoloss.registry import FIGURES, FULL, GROUPS, TABLES
from autoloss.report.frames import cell_of, rows_of
from autoloss.report.products import read_index
from autoloss.study import Cell, Study
from autoloss.target import snakemake

NEEDED = ("table_2", "table_3")  # no report without these


@dataclass(frozen=True)
class Evidence:
    """A study's runs, by group and by id, and why a group is not among them."""

    study: Study
    groups: Mapping[str, pd.DataFrame]
    records: Mapping[str, Record]
    left_out: tuple[str, ...]

    def cells(self) -> dict[Cell, list[dict[str, Any]]]:
        """The index's rows of every cell, each run once; cells of a data set and model together."""
        runs = pd.concat(self.groups.values(), ignore_index=True).drop_duplicates("run_id")
        found: dict[Cell, list[dict[str, Any]]] = {}
        for _, pair in runs.groupby(["dataset", "model"], sort=False):
            for row in rows_of(pair):
                found.setdefault(cell_of(row), []).append(row)
        return found

    @property
    def newest(self) -> str:
        """When the newest run finished: the report's own date, so that it is reproducible."""
        return max(record.provenance.finished for record in self.records.values())


def read_evidence(study: Study) -> Evidence:
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
            found = dict(_records(study, group, index))
        except RecordError as error:
            if group in NEEDED:
                raise
            left_out.append(f"{group} is left out: {error.where} {error.problem}; {error.mend}.")
            continue
        groups[group] = index
        records |= found
    return Evidence(study, groups, records, tuple(left_out))


def _present(study: Study) -> list[str]:
    """Groups that the report needs, those with a table, and those that figures are drawn from."""
    drawn = {group for figure in FIGURES for group in FIGURES[figure]} - {*TABLES, FULL}
    made = {g for g in drawn if study.index_file(g).exists()}
    made |= {g for g in (*TABLES, FULL) if (study.results / "tables" / f"{g}.csv").exists()}
    return [group for group in GROUPS if group in made or group in NEEDED]


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
