"""Where the runs were made and with what: every value that occurs, and in how many runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from autoloss.records.schema import Record


@dataclass(frozen=True)
class Fact:
    """A property of runs: its values, the most frequent first, with their number of runs."""

    name: str
    values: tuple[tuple[str, int], ...]


def facts(records: Iterable[Record]) -> list[Fact]:
    """The provenance of runs, property by property."""
    counts: dict[str, Counter[str]] = {}
    for record in records:
        for name, value in _properties(record):
            counts.setdefault(name, Counter())[value] += 1
    return [
        Fact(name, tuple(sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))))
        for name, found in counts.items()
    ]


def _properties(record: Record) -> Iterator[tuple[str, str]]:
    """Name and value, in the order in which the report lists them."""
    origin = record.provenance
    yield "commit", _commit(record)
    yield "lock file, SHA-256", origin.lock_hash or "no lock file"
    yield "data, by hash", f"{record.dataset} {origin.data_hash}"
    yield from ((name.replace("_", " "), str(value)) for name, value in origin.hardware.items())
    yield from origin.versions.items()
    yield "threads of a run", str(origin.threads)
    yield "deterministic algorithms", "yes" if origin.deterministic else "no"


def _commit(record: Record) -> str:
    origin = record.provenance
    if origin.commit is None:
        return "no checkout"
    clean = "with uncommitted changes" if origin.dirty else "clean"
    return f"{origin.commit}, {clean}"
