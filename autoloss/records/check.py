"""Is every run of the study there, whole, and the one that the configuration asks for?

Everything that is wrong in a results tree, by kind. Reads records, lists and controllers; nothing
is trained, and nothing is believed that a file says about itself alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from autoloss.data.load.prepared import PreparedData
from autoloss.errors import DataError, RecordError
from autoloss.records.controllers import check_controller, owns_controller
from autoloss.records.expected import over_budget, prepared_hash, why_no_search, why_not
from autoloss.records.predictions import check_predictions, max_bytes
from autoloss.records.schema import Record, Search
from autoloss.records.shards import agrees
from autoloss.records.store import MAX_BYTES, parse_record, parse_search, read_limited
from autoloss.study.cell import Cell
from autoloss.study.groups import GROUPS
from autoloss.study.study import Study

KINDS = {
    "damaged": "changed after they were written, cut short, or of another schema",
    "stale": "sound, but not of the run that configuration, code and data ask for",
    "missing": "never made, or lost",
    "failed": "ended with an error, which the record has; tables count them as failed",
    "unlisted": "lists of a job's runs that do not say what the records say",
    "mixed": "runs of one split were made on different data",
    "over budget": "trained more than their method may",
}


class UnsoundError(Exception):
    """A record or search that cannot be used: its kind, why, and what to remove to make it anew."""

    def __init__(self, kind: str, problem: str, *remove: Path) -> None:
        super().__init__(problem)
        self.kind, self.problem, self.remove = kind, problem, remove


class Reader(Protocol):
    """Gives the content of a file of the study, maybe from elsewhere, if it is not too large."""

    def __call__(self, file: Path, limit: int = MAX_BYTES) -> bytes:
        """As `read_limited`, with a FileNotFoundError where there is no file."""


def read_present(file: Path, limit: int = MAX_BYTES) -> bytes:
    """What is here."""
    if not os.path.lexists(file):
        raise FileNotFoundError(file)
    return read_limited(file, limit)


@dataclass(frozen=True)
class Finding:
    """Something wrong: its kind, where (a run is a cell with a seed), what it is; and the files
    without which it is made anew."""

    kind: str
    where: str
    problem: str
    remove: tuple[Path, ...] = ()
    seed: int | None = None


@dataclass
class Tree:
    """What a results tree holds: the sound records of its study, and what is wrong with it."""

    study: Study
    records: dict[tuple[Cell, int], Record] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @classmethod
    def read(cls, study: Study) -> Tree:
        """Look through everything that the study has, or should have."""
        tree = cls(study)
        names = dict.fromkeys(cell.dataset for cell in study.all_cells())
        data = {(name, k): tree._data(name, k) for name in names for k in study.prepared_splits}
        for cell in expected_cells(study):
            tree._search(cell, data.get((cell.dataset, study.split_of(None))))
            hashes = {seed: data.get((cell.dataset, study.split_of(seed))) for seed in study.seeds}
            for first, last in study.shards():
                tree._shard(cell, first, last, hashes)
        tree.findings += tree._mixed()
        return tree

    def _data(self, dataset: str, split: int) -> str | None:
        """The hash of a split's prepared arrays, if they are here, sound and the study's."""
        try:
            known = prepared_hash(self.study, dataset, split)
            if known is not None:
                PreparedData.open(self.study.prepared_folder(dataset, split)).verify()
        except RecordError as error:
            self._find("stale", error.where, error.problem)
            return None
        except DataError as error:
            self._find("damaged", error.where, error.problem)
            return None
        return known

    def _search(self, cell: Cell, data_hash: str | None) -> None:
        if self.study.searches(cell):
            try:
                sound_search(self.study, cell, data_hash)
            except UnsoundError as error:
                self._find(error.kind, f"{cell} search", error.problem, *error.remove)

    def _shard(self, cell: Cell, first: int, last: int, hashes: dict[int, str | None]) -> None:
        """Each seed of a job, then whether its list says the same."""
        listed, seeds = self.study.shard_file(cell, first, last), range(first, last + 1)
        found = [self._run(cell, seed, listed, hashes[seed]) for seed in seeds]
        records = [record for record in found if record is not None]
        if len(records) == len(found) and not agrees(cell, records, listed):
            self._find("unlisted", str(listed), "says otherwise, or is not there", listed)

    def _run(self, cell: Cell, seed: int, listed: Path, data_hash: str | None) -> Record | None:
        """A seed's record, if it is sound and the right one; what is wrong is found."""
        try:
            record = sound_run(self.study, cell, seed, data_hash)
        except UnsoundError as error:
            files = () if error.kind == "over budget" else (*error.remove, listed)
            self.findings.append(Finding(error.kind, str(cell), error.problem, files, seed))
            return None
        if record.failure:
            problem = f"{record.failure.kind}: {record.failure.message}"
            self.findings.append(Finding("failed", str(cell), problem, (listed,), seed))
        self.records[cell, seed] = record
        return record

    def _find(self, kind: str, where: str, problem: str, *remove: Path) -> None:
        self.findings.append(Finding(kind, where, problem, remove))

    def _mixed(self) -> Iterator[Finding]:
        """Splits whose prepared data are gone: then all their runs must be of one hash."""
        hashes: dict[str, set[str]] = {}
        for (cell, _), record in self.records.items():
            split = f"{cell.dataset} split {record.split}"
            hashes.setdefault(split, set()).add(record.provenance.data_hash[:16])
        for split, found in hashes.items():
            if len(found) > 1:
                yield Finding("mixed", split, f"data hashes {', '.join(sorted(found))}")


def sound_run(
    study: Study,
    cell: Cell,
    seed: int,
    data_hash: str | None,
    read: Reader = read_present,
    rows: int | None = None,
) -> Record:
    """A run's record, whole, the study's own, within its budget, with predictions and controller.

    Args:
        data_hash: of the prepared data; None: whatever data the record is of.
        rows: of the test split; None: what the record says.

    Raises:
        UnsoundError: it is not.
    """
    file = study.record_file(cell, seed)
    with _whole(file, "no record"):
        record = parse_record(read(file), str(file))
    if problem := why_not(study, cell, seed, record, data_hash):
        raise UnsoundError("stale", problem)
    if problem := over_budget(study, cell, record):
        raise UnsoundError("over budget", problem)
    if record.status == "ok":
        check_kept(study, cell, seed, record, read, rows)
    return record


def check_kept(
    study: Study,
    cell: Cell,
    seed: int,
    record: Record,
    read: Reader = read_present,
    rows: int | None = None,
) -> None:
    """Whether what a successful run left beside its record is there, and what the record says.

    Raises:
        UnsoundError: it is not.
    """
    kept, left = study.predictions_file(cell, seed), study.controller_file(cell, seed)
    limit = max_bytes(study, cell, record.rows["test"] if rows is None else rows)
    with _whole(kept, "its test predictions are not there"):
        check_predictions(read(kept, limit), record, str(kept))
    if owns_controller(record):
        with _whole(left, "its controller is not there"):
            check_controller(read(left), record)


def sound_search(
    study: Study, cell: Cell, data_hash: str | None, read: Reader = read_present
) -> Search:
    """A cell's search, whole and the study's own; arguments and errors as of `sound_run`."""
    file = study.search_file(cell)
    with _whole(file, "no search"):
        search = parse_search(read(file), str(file))
    if problem := why_no_search(study, cell, search, data_hash):
        raise UnsoundError("stale", problem, file)
    return search


@contextmanager
def _whole(file: Path, absent: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UnsoundError("missing", absent, file) from None
    except RecordError as error:
        raise UnsoundError("damaged", error.problem, file) from error


def expected_cells(study: Study) -> list[Cell]:
    """The cells of all that `snakemake all` makes, and of every other group that was begun.

    A source comes before the cells that take its controllers.
    """
    made = set(study.reported_groups())
    made |= {group for group in GROUPS if study.index_file(group).exists()}
    cells = dict.fromkeys(
        cell
        for group in GROUPS
        for cell in study.cells(group)
        if group in made or study.cell_folder(cell).exists()
    )
    return sorted(cells, key=lambda cell: study.controller_of(cell) is not None)


def remove(findings: list[Finding]) -> list[Path]:
    """Remove what keeps the workflow from making the found runs anew; returns what was removed.

    All paths are the study's own; a sound record of another run stays until it is replaced.
    """
    files = dict.fromkeys(file for finding in findings for file in finding.remove)
    there = [file for file in files if file.is_file() or file.is_symlink()]
    for file in there:
        file.unlink()
    return there
