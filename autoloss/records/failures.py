"""Runs that ended because their method or model raised an error: counted, never passed over.

A run that diverged is a result of its method; one that raised is a fault in somebody's code.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from autoloss.records.schema import raised
from autoloss.records.shards import listed_runs
from autoloss.records.store import read_record
from autoloss.study.cell import Cell
from autoloss.study.study import Study


def crashed(study: Study, cells: Iterable[Cell]) -> Iterator[str]:
    """A line for every cell with runs that raised: how many, and the first one's message."""
    for cell in dict.fromkeys(cells):
        listed, _ = listed_runs(study, cell)  # of a damaged list, whoever indexes the runs says so
        seeds = [seed for seed, run in listed.items() if run.get("status") == "failed"]
        records = [read_record(study.record_file(cell, seed)) for seed in seeds]
        failures = [record.failure for record in records if raised(record)]
        if failures and failures[0]:
            first = failures[0]
            what = f"{first.kind}: {first.message}".partition("\n")[0]
            place = place_of(first.traceback)
            place = f" ({place})" if place else ""
            yield f"{cell} ({len(failures)} of {study.config.study.seeds} runs): {what}{place}"


def place_of(traceback: str) -> str:
    """The file and line that raised, or that called the library which did: "file:line", or ""."""
    places = re.findall(r'File "(.+?)", line (\d+)', traceback)
    own = [place for place in places if "site-packages" not in place[0]]
    return ":".join((own or places or [()])[-1])


def say_crashed(lines: Iterable[str]) -> str:
    """What a user is told of crashed cells."""
    listed = "\n".join(f"  {line}" for line in lines)
    return (
        f"These methods raised errors; tables and figures show their runs as failed:\n{listed}\n"
        "  To mend it: correct the method, its cells are then trained anew; "
        "`autoloss check --rerun` has them tried again as they are"
    )
