"""The list that a training job writes last: which runs a shard of a cell's seeds has.

Snakemake's declared output of the job. It says what the records said when it was written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from autoloss.records.schema import Record
from autoloss.records.store import read_limited, write_text
from autoloss.study import Cell

KEYS = ("seed", "run_id", "status", "digest")


def listing(cell: Cell, records: Sequence[Record]) -> dict[str, Any]:
    """What the list of a shard with these records says (as training/runner.py writes it)."""
    runs = [{key: getattr(record, key) for key in KEYS} for record in records]
    return {"cell": str(cell), "runs": runs}


def write_shard(cell: Cell, records: Sequence[Record], file: Path) -> None:
    """Write the list of a shard."""
    write_text(json.dumps(listing(cell, records), indent=1) + "\n", file)


def agrees(cell: Cell, records: Sequence[Record], file: Path) -> bool:
    """Whether the list in `file` says what the records say; a damaged one does not.

    Raises:
        RecordError: it cannot be read.
    """
    try:
        return bool(json.loads(read_limited(file)) == listing(cell, records))
    except (ValueError, RecursionError):
        return False
