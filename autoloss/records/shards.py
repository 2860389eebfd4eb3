"""The list that a training job writes last: which runs a shard of a cell's seeds has.

Snakemake's declared output of the job. It says what the records said when it was written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autoloss.errors import RecordError
from autoloss.records.schema import Record
from autoloss.records.store import read_limited, write_text
from autoloss.study.cell import Cell
from autoloss.study.study import Study

KEYS = ("seed", "run_id", "status", "digest")


def listing(cell: Cell, records: Sequence[Record]) -> dict[str, Any]:
    """What the list of a shard with these records says (as training/runner.py writes it)."""
    runs = [{key: getattr(record, key) for key in KEYS} for record in records]
    return {"cell": str(cell), "runs": runs}


def write_shard(cell: Cell, records: Sequence[Record], file: Path) -> None:
    """Write the list of a shard."""
    write_text(json.dumps(listing(cell, records), indent=1) + "\n", file)


def agrees(cell: Cell, records: Sequence[Record], file: Path) -> bool:
    """Whether the list in `file` says what the records say; one that cannot be read does not."""
    try:
        return bool(json.loads(read_limited(file)) == listing(cell, records))
    except (RecordError, ValueError, RecursionError):
        return False


def listed_runs(study: Study, cell: Cell) -> tuple[dict[int, dict[str, Any]], list[Path]]:
    """What the lists of a cell's jobs say of each seed, and the lists that cannot be read."""
    runs: dict[int, dict[str, Any]] = {}
    damaged = []
    for first, last in study.shards():
        file = study.shard_file(cell, first, last)
        try:
            runs |= {run["seed"]: dict(run) for run in json.loads(read_limited(file))["runs"]}
        except (RecordError, ValueError, RecursionError, KeyError, TypeError):
            damaged += [file] if file.exists() else []
    return runs, damaged
