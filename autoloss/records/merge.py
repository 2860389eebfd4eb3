"""Take over the runs of another results tree of the same study, made on another machine.

What is there is untrusted. File names come from this study's grid, never from the tree; no link is
followed; a file is read once, up to a limit, checked, and what was checked is what is written. A
sound record that is here already stays, whatever the other tree has.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from autoloss.errors import RecordError, UserError
from autoloss.records.controllers import check_controller, owns_controller
from autoloss.records.expected import prepared_hash, why_no_search, why_not
from autoloss.records.schema import Record, Search
from autoloss.records.shards import agrees, write_shard
from autoloss.records.store import (
    MAX_BYTES,
    parse_record,
    parse_search,
    read_limited,
    read_record,
    read_search,
    write_bytes,
)
from autoloss.registry import GROUPS
from autoloss.study import Cell, Study
from autoloss.target import snakemake

MEND = "make it again there, with this code, configuration and data"


@dataclass
class Merge:
    """A merge of the tree in `folder` (a `results/<name>`) into a study's, and what it did."""

    study: Study
    folder: Path
    taken: list[str] = field(default_factory=list)
    same: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    listed: list[Path] = field(default_factory=list)

    def run(self) -> Merge:
        """Take what is sound, cell by cell, those first whose controllers others take.

        Raises:
            RecordError: `folder` is no results tree.
        """
        if not (self.folder / "runs").is_dir():
            mend = "give another machine's results/<name>: the folder that has runs/ in it"
            raise RecordError(str(self.folder), "is no results tree", mend)
        cells = dict.fromkeys(cell for group in GROUPS for cell in self.study.cells(group))
        for cell in sorted(cells, key=lambda cell: self.study.controller_of(cell) is not None):
            if not self._theirs(self.study.cell_folder(cell)).is_dir():
                continue
            data_hash = prepared_hash(self.study, cell.dataset)
            if data_hash is None:
                manifest = self.study.prepared_folder(cell.dataset) / "manifest.json"
                mend = f"run `{snakemake(self.study, str(manifest))}` first"
                self.refused.append(f"{cell}: its data are not prepared here; {mend}")
            elif self._search(cell, data_hash):
                for first, last in self.study.shards():
                    self._shard(cell, first, last, data_hash)
        return self

    def _search(self, cell: Cell, data_hash: str) -> bool:
        """Whether the cell's search is here, or could be taken; True where it needs none."""
        if not self.study.searches(cell):
            return True
        file, name = self.study.search_file(cell), f"{cell} search"
        own = _own_search(self.study, cell, data_hash)
        try:
            content = self._fetch(file)
            theirs = parse_search(content, name)
            self._check_search(cell, theirs, data_hash)
        except FileNotFoundError:
            return own is not None
        except UserError as error:
            self.refused.append(f"{name}: {error.problem}")
            return own is not None
        if own is None:
            write_bytes(content, file)
            self.taken.append(name)
        elif own.chosen != theirs.chosen:
            self.different.append(f"{name}: chose {theirs.chosen} there, {own.chosen} here")
        return True

    def _check_search(self, cell: Cell, theirs: Search, data_hash: str) -> None:
        problem = why_no_search(self.study, cell, theirs, data_hash)
        if theirs.epochs > self.study.search_budget(cell):
            problem = f"trained {theirs.epochs} epochs, more than it may"
        if theirs.chosen not in [trial.assignment for trial in theirs.trials]:
            problem = "chose what it never tried"
        if problem:
            raise RecordError(str(cell), problem, MEND)
        self.study.with_assignment(cell, theirs.chosen, str(cell))

    def _shard(self, cell: Cell, first: int, last: int, data_hash: str) -> None:
        """Each seed of a job; then the job's list, if all its runs are here."""
        here = [self._run(cell, seed, data_hash) for seed in range(first, last + 1)]
        records = [record for record in here if record is not None]
        file = self.study.shard_file(cell, first, last)
        if len(records) == len(here) and not (file.exists() and agrees(cell, records, file)):
            write_shard(cell, records, file)
            self.listed.append(file)

    def _run(self, cell: Cell, seed: int, data_hash: str) -> Record | None:
        """The record that is here in the end."""
        name, own = f"{cell} seed {seed}", _own_record(self.study, cell, seed, data_hash)
        try:
            content = self._fetch(self.study.record_file(cell, seed))
            theirs = parse_record(content, name)
            self._check_run(cell, seed, theirs, data_hash)
            controller = self._controller(cell, seed, theirs)
        except FileNotFoundError:
            return own
        except UserError as error:
            self.refused.append(f"{name}: {error.problem}")
            return own
        if own and not (own.status == "failed" and theirs.status == "ok"):
            if own.digest == theirs.digest:
                self.same.append(name)
            else:
                self.different.append(f"{name}: {_result(theirs)} there, {_result(own)} here")
            return own
        if controller is not None:
            write_bytes(controller, self.study.controller_file(cell, seed))
        write_bytes(content, self.study.record_file(cell, seed))
        self.taken.append(name)
        return theirs

    def _check_run(self, cell: Cell, seed: int, theirs: Record, data_hash: str) -> None:
        problem = why_not(self.study, cell, seed, theirs, data_hash)
        allowed = self.study.epoch_budget(cell.method)
        if theirs.budget.epochs > allowed:
            problem = f"trained {theirs.budget.epochs} epochs, {allowed} are allowed"
        if problem:
            raise RecordError(str(cell), problem, MEND)

    def _controller(self, cell: Cell, seed: int, theirs: Record) -> bytes | None:
        """The file of a run's own controller, checked; None where it has none."""
        if theirs.status != "ok" or not owns_controller(theirs):
            return None
        try:
            content = self._fetch(self.study.controller_file(cell, seed))
        except FileNotFoundError:
            raise RecordError(str(cell), "its controller's file is not there", MEND) from None
        check_controller(content, theirs)
        return content

    def _theirs(self, file: Path) -> Path:
        """Where the other tree has one of our files."""
        return self.folder / file.relative_to(self.study.results)

    def _fetch(self, file: Path) -> bytes:
        """What the other tree has for one of our files; links and devices are not read.

        Raises:
            FileNotFoundError: there is none.
            RecordError: it is not a plain file below the folder, or too large.
        """
        path = self._theirs(file)
        inside = self.folder.resolve() / file.relative_to(self.study.results)
        if os.path.lexists(path) and path.resolve() != inside:
            raise RecordError(str(path), "is a link, or below one", MEND)
        if not stat.S_ISREG(path.lstat().st_mode):
            raise RecordError(str(path), "is no plain file", MEND)
        return read_limited(path, MAX_BYTES)

    def report(self) -> Iterator[str]:
        """What was done, in lines."""
        yield (
            f"{len(self.taken)} taken, {len(self.same)} were here already with the same digest, "
            f"{len(self.different)} differ, {len(self.refused)} refused; "
            f"{len(self.listed)} jobs are now done."
        )
        for title, lines in (
            ("Differ (ours are kept):", self.different),
            ("Refused:", self.refused),
        ):
            if lines:
                yield title
                yield from (f"  {line}" for line in lines)


def _own_search(study: Study, cell: Cell, data_hash: str) -> Search | None:
    """Our own search of a cell, if it is sound and of this study."""
    try:
        found = read_search(study.search_file(cell))
    except RecordError:
        return None
    return None if why_no_search(study, cell, found, data_hash) else found


def _own_record(study: Study, cell: Cell, seed: int, data_hash: str) -> Record | None:
    """Our own record of a run, if it is sound and of this study, with its controller."""
    try:
        found = read_record(study.record_file(cell, seed))
        if why_not(study, cell, seed, found, data_hash):
            return None
        if found.status == "ok" and owns_controller(found):
            check_controller(read_limited(study.controller_file(cell, seed)), found)
    except RecordError:
        return None
    return found


def _result(record: Record) -> str:
    return f"digest {record.digest[:16]}" if record.digest else "failed"
