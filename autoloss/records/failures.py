"""Runs that ended because their method or model raised an error: counted, never passed over.

A run that diverged is a result of its method; one that raised is a fault in somebody's code.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from autoloss.errors import RecordError
from autoloss.records.schema import raised
from autoloss.records.store import read_limited, read_record
from autoloss.study import Cell, Study


def crashed(study: Study, cells: Iterable[Cell]) -> Iterator[str]:
    """A line for every cell with runs that raised: how many, and the first one's message."""
    for cell in dict.fromkeys(cells):
        records = [read_record(study.record_file(cell, seed)) for seed in _failed(study, cell)]
        failures = [record.failure for record in records if raised(record)]
        if failures and failures[0]:
            what = f"{failures[0].kind}: {failures[0].message}".partition("\n")[0]
            yield f"{cell} ({len(failures)} of {study.config.study.seeds} runs): {what}"


def _failed(study: Study, cell: Cell) -> Iterator[int]:
    """The seeds that the lists of a cell's jobs call failed, so far as there are lists."""
    for first, last in study.shards():
        try:
            listed = json.loads(read_limited(study.shard_file(cell, first, last)))
            yield from (run["seed"] for run in listed["runs"] if run["status"] == "failed")
        except (RecordError, ValueError, KeyError, TypeError):
            continue  # not made yet, or damaged: whoever indexes the runs says so


def say_crashed(lines: Iterable[str]) -> str:
    """What a user is told of crashed cells."""
    listed = "\n".join(f"  {line}" for line in lines)
    return (
        f"These methods raised errors; tables and figures show their runs as failed:\n{listed}\n"
        "  To mend it: correct the method, its cells are then trained anew; "
        "`autoloss check --rerun` has them tried again as they are"
    )
