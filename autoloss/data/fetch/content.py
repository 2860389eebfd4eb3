"""Bytes counted and hashed as they pass, and compared with what is published of them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

from autoloss.data.manifest import RawFile
from autoloss.data.progress import At
from autoloss.data.specs import Pinned
from autoloss.errors import DataError

CHUNK = 1 << 20
LATER = "try again later"  # how to mend what is a server's or an archive's fault


def measure(
    source: IO[bytes],
    name: str,
    pins: Pinned,
    *,
    to: IO[bytes] | None = None,
    limit: int | None = None,
    at: At = lambda done: None,
) -> tuple[RawFile, str]:
    """The manifest's entry of what `source` holds, and how it differs from `pins`, if it does.

    Args:
        source: read to its end.
        to: where the bytes are written on the way.
        limit: the most bytes there may be.

    Raises:
        DataError: there are more than `limit` bytes.
    """
    hashes = {"md5": hashlib.md5(usedforsecurity=False)} if pins.md5 else {}
    hashes["sha256"] = hashlib.sha256()
    size = 0
    while chunk := source.read(CHUNK):
        size += len(chunk)
        if limit is not None and size > limit:
            raise DataError(name, f"has more than the {limit} bytes it may have", LATER)
        for algorithm in hashes.values():
            algorithm.update(chunk)
        if to is not None:
            to.write(chunk)
        at(size)
    wrong = [] if pins.bytes in (None, size) else [f"expected {pins.bytes} bytes, found {size}"]
    for kind, algorithm in hashes.items():
        if (published := getattr(pins, kind)) not in (None, algorithm.hexdigest()):
            wrong.append(f"expected {kind} {published}, found {algorithm.hexdigest()}")
    file = RawFile(name=name, bytes=size, sha256=hashes["sha256"].hexdigest())
    return file, "; ".join(wrong)


def measure_file(
    path: Path, name: str, pins: Pinned, at: At = lambda done: None
) -> tuple[RawFile, str]:
    """As `measure`, of the file `path`."""
    with path.open("rb") as source:
        return measure(source, name, pins, at=at)


def require_published(measured: tuple[RawFile, str], where: str) -> RawFile:
    """The entry of what was measured at `where`; a DataError if it differs from its pins."""
    file, wrong = measured
    if wrong:
        raise DataError(where, f"{file.name} differs: {wrong}", LATER)
    return file
