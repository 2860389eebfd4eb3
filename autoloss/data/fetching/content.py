"""Content checked in one pass: its size and digests, against what is published of a file."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import IO

from autoloss.data.fetching.progress import At
from autoloss.data.fetching.space import require_space
from autoloss.data.manifest import RawFile
from autoloss.data.registry import Member, Pinned
from autoloss.errors import DataError

CHUNK = 1 << 20


class Content:
    """Bytes that have passed: how many, their sha256, and their md5 where that is published."""

    def __init__(self, pins: Pinned) -> None:
        self.pins, self.bytes = pins, 0
        self._hashes = {"sha256": hashlib.sha256()}
        if pins.md5 is not None:
            self._hashes["md5"] = hashlib.md5(usedforsecurity=False)

    def add(self, chunk: bytes) -> None:
        """Let `chunk` pass."""
        self.bytes += len(chunk)
        for hashed in self._hashes.values():
            hashed.update(chunk)

    def differences(self) -> str:
        """What differs from what is published; empty if nothing does."""
        wrong = []
        if self.pins.bytes not in (None, self.bytes):
            wrong.append(f"expected {self.pins.bytes} bytes, found {self.bytes}")
        for algorithm, hashed in self._hashes.items():
            expected, found = getattr(self.pins, algorithm), hashed.hexdigest()
            if expected not in (None, found):
                wrong.append(f"expected {algorithm} {expected}, found {found}")
        return "; ".join(wrong)

    def require_published(self, name: str, where: str) -> None:
        """A DataError about `name` at `where` if anything differs from what is published."""
        if wrong := self.differences():
            raise DataError(where, f"{name} differs: {wrong}", "try again later")

    def record(self, name: str) -> RawFile:
        """The entry of a manifest."""
        return RawFile(name=name, bytes=self.bytes, sha256=self._hashes["sha256"].hexdigest())


def content_of(path: Path, pins: Pinned, at: At = lambda _: None) -> Content:
    """The content of the file `path`."""
    content = Content(pins)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            content.add(chunk)
            at(content.bytes)
    return content


def copy_member(source: IO[bytes], target: Path, member: Member, at: At) -> RawFile:
    """Copy a stream to the new file `target`, refusing more bytes than `member` may have."""
    content = Content(member)
    with target.open("xb") as file:
        while chunk := source.read(CHUNK):
            content.add(chunk)
            if content.bytes > member.limit:
                problem = f"{member.path} has more than the {member.limit} bytes it may have"
                raise DataError(str(target), problem, "try again later")
            file.write(chunk)
            at(content.bytes)
    content.require_published(member.name, str(target))
    return content.record(member.name)


def place(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`: a hard link on one disk, else a copy."""
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError:
        require_space(target.parent.parent, source.stat().st_size, f"copying {source.name}")
        shutil.copyfile(source, target)
