"""Where the runs were made and with what: every value that occurs, and in how many runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from autoloss.records.schema import Record


def facts(records: Iterable[Record]) -> dict[str, list[tuple[str, int]]]:
    """The provenance of runs by property: values with their number of runs, the most first."""
    counts: dict[str, Counter[str]] = {}
    for record in records:
        for name, value in _properties(record):
            counts.setdefault(name, Counter())[value] += 1
    return {
        name: sorted(values.items(), key=lambda pair: (-pair[1], pair[0]))
        for name, values in counts.items()
    }


def _properties(record: Record) -> Iterator[tuple[str, str]]:
    """Name and value, in the order in which the report lists them."""
    origin = record.provenance
    state = "with uncommitted changes" if origin.dirty else "clean"
    yield "commit", "no checkout" if origin.commit is None else f"{origin.commit}, {state}"
    yield "lock file, SHA-256", origin.lock_hash or "no lock file"
    yield "data, by hash", f"{record.dataset} split {record.split} {origin.data_hash}"
    yield from ((name.replace("_", " "), str(value)) for name, value in origin.hardware.items())
    yield from origin.versions.items()
    yield "threads of a run", str(origin.threads)
    yield "deterministic algorithms", "yes" if origin.deterministic else "no"
