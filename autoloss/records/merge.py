"""Take over the runs of another results tree of the same study, made on another machine.

What is there is untrusted. File names come from this study's grid, never from the tree; no link is
followed; a file is read once, up to a limit, checked, and what was checked is what is written. A
sound record that is here already stays, whatever the other tree has.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from autoloss.data.manifest import Manifest
from autoloss.errors import RecordError
from autoloss.records.check import Reader, UnsoundError, read_present, sound_run, sound_search
from autoloss.records.expected import prepared
from autoloss.records.schema import Record, Search
from autoloss.records.shards import agrees, write_shard
from autoloss.records.store import MAX_BYTES, read_limited, write_bytes
from autoloss.study.cell import Cell
from autoloss.study.groups import GROUPS
from autoloss.study.study import Study
from autoloss.target import snakemake

FAILED = "failed"
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
        study = self.study
        cells = dict.fromkeys(cell for group in GROUPS for cell in study.cells(group))
        for cell in sorted(cells, key=lambda cell: study.controller_of(cell) is not None):
            if not self._theirs(study.cell_folder(cell)).is_dir():
                continue
            made = {k: prepared(study, cell.dataset, k) for k in study.prepared_splits}
            data = {k: manifest for k, manifest in made.items() if manifest is not None}
            if absent := [k for k in made if k not in data]:
                manifest = study.prepared_folder(cell.dataset, absent[0]) / "manifest.json"
                mend = f"run `{snakemake(study, str(manifest))}` first"
                self.refused.append(f"{cell}: its data are not prepared here; {mend}")
                continue
            if study.searches(cell) and self._take(cell, None, data) is None:
                continue  # its runs cannot be used without it
            for first, last in study.shards():
                here = [self._take(cell, seed, data) for seed in range(first, last + 1)]
                records = [record for record in here if isinstance(record, Record)]
                file = study.shard_file(cell, first, last)
                if len(records) == len(here) and not agrees(cell, records, file):
                    write_shard(cell, records, file)
                    self.listed.append(file)
        return self

    def _take(
        self, cell: Cell, seed: int | None, data: Mapping[int, Manifest]
    ) -> Record | Search | None:
        """Take a run, or without a seed the cell's search, if it should be; what is here then."""
        split = data[self.study.split_of(seed)]
        name = f"{cell} search" if seed is None else f"{cell} seed {seed}"
        contents: dict[Path, bytes] = {}

        def fetch(file: Path, limit: int = MAX_BYTES) -> bytes:
            contents[file] = self._fetch(file, limit)
            return contents[file]

        def sound(read: Reader) -> Record | Search:
            if seed is None:
                return sound_search(self.study, cell, split.data_hash, read)
            rows = split.splits["test"]
            return sound_run(self.study, cell, seed, split.data_hash, read, rows)

        try:
            own = sound(read_present)
        except UnsoundError:
            own = None
        try:
            theirs = sound(fetch)
        except UnsoundError as error:
            # A run without its record is not there; without its search none can be taken.
            if error.kind != "missing" or contents or (own is None and seed is None):
                self.refused.append(f"{name}: {error.problem}")
            return own
        if own is None or (_result(own) == FAILED and _result(theirs) != FAILED):
            for file in reversed(contents):  # the record last
                write_bytes(contents[file], file)
            self.taken.append(name)
            return theirs
        if _result(own) != _result(theirs):
            self.different.append(f"{name}: {_result(theirs)} there, {_result(own)} here")
        elif seed is not None:
            self.same.append(name)
        return own

    def _theirs(self, file: Path) -> Path:
        """Where the other tree has one of our files."""
        return self.folder / file.relative_to(self.study.results)

    def _fetch(self, file: Path, limit: int) -> bytes:
        """What the other tree has for one of our files; links and devices are not read.

        Raises:
            FileNotFoundError: there is none.
            RecordError: it is not a plain file below the folder, or too large.
        """
        path = self._theirs(file)
        mode, inside = path.lstat().st_mode, file.relative_to(self.study.results)
        if path.resolve() != self.folder.resolve() / inside:
            raise RecordError(str(path), "is a link, or below one", MEND)
        if not stat.S_ISREG(mode):
            raise RecordError(str(path), "is no plain file", MEND)
        return read_limited(path, limit)

    def report(self) -> Iterator[str]:
        """What was done, in lines."""
        yield (
            f"{len(self.taken)} taken, {len(self.same)} were here already with the same digest, "
            f"{len(self.different)} differ, {len(self.refused)} refused; "
            f"{len(self.listed)} jobs are now done."
        )
        titles = {"Differ (ours are kept):": self.different, "Refused:": self.refused}
        for title, lines in titles.items():
            yield from ([title] if lines else [])
            yield from (f"  {line}" for line in lines)


def _result(made: Record | Search) -> str:
    if isinstance(made, Search):
        return f"chose {made.chosen}"
    return f"digest {made.digest[:16]}" if made.digest else FAILED
