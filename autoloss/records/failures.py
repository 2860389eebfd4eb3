"""Runs that ended because their method or model raised an error: counted, never passed over.

A run that diverged is a result of its method; one that raised is a fault in somebody's code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from autoloss.errors import ConfigError, RecordError, did_you_mean
from autoloss.records.schema import raised
from autoloss.records.store import read_limited, read_record
from autoloss.registry import GROUPS
from autoloss.study import Cell, Study
from autoloss.target import snakemake


def crashed(study: Study, cells: Iterable[Cell]) -> Iterator[str]:
    """A line for every cell with runs that raised: how many, and the first one's message."""
    for cell in dict.fromkeys(cells):
        records = [read_record(study.record_file(cell, seed)) for seed in _failed(study, cell)]
        failures = [record.failure for record in records if raised(record)]
        if failures and failures[0]:
            first = failures[0]
            what = f"{first.kind}: {first.message}".partition("\n")[0]
            lines = re.findall(r'File "(.+?)", line (\d+)', first.traceback)
            place = f" ({lines[-1][0]}:{lines[-1][1]})" if lines else ""
            yield f"{cell} ({len(failures)} of {study.config.study.seeds} runs): {what}{place}"


def _failed(study: Study, cell: Cell) -> Iterator[int]:
    """The seeds that the lists of a cell's jobs call failed, so far as there are lists."""
    for first, last in study.shards():
        try:
            listed = json.loads(read_limited(study.shard_file(cell, first, last)))
            yield from (run["seed"] for run in listed["runs"] if run["status"] == "failed")
        except (RecordError, ValueError, KeyError, TypeError):
            continue  # not made yet, or damaged: whoever indexes the runs says so


def made_cells(study: Study, group: str) -> list[Cell]:
    """The cells of a group, all of whose jobs are done.

    Raises:
        ConfigError: there is no such group.
        RecordError: a job is not done: what it would end with cannot be told.
    """
    if group not in GROUPS:
        raise ConfigError("group", f"there is no '{group}'", did_you_mean(group, GROUPS))
    cells = study.cells(group)
    lists = [study.shard_file(cell, *shard) for cell in cells for shard in study.shards()]
    if missing := [file for file in lists if not file.exists()]:
        problem = f"no such file: {len(missing)} of {len(lists)} jobs of {group} are not done"
        raise RecordError(str(missing[0]), problem, f"run `{snakemake(study, group)}`")
    return cells


def say_crashed(lines: Iterable[str]) -> str:
    """What a user is told of crashed cells."""
    listed = "\n".join(f"  {line}" for line in lines)
    return (
        f"These methods raised errors; tables and figures show their runs as failed:\n{listed}\n"
        "  To mend it: correct the method, its cells are then trained anew; "
        "`autoloss check --rerun` has them tried again as they are"
    )
