"""Folders that appear complete or not at all."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from autoloss.data.manifest import listed
from autoloss.errors import DataError

SHOWN = 5  # files that a message names


@contextmanager
def atomic_folder(destination: Path, names: Collection[str] = ()) -> Iterator[Path]:
    """A temporary folder beside `destination` that replaces it if the block ends without error.

    On an error the temporary folder goes and whatever was at `destination` stays. Processes that
    have mapped files of the old folder keep reading those. Of a link, the folder that it leads to
    is replaced. `names`: as for `require_replaceable`.
    """
    require_replaceable(destination, names)
    place = destination.resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex[:8]
    partial = place.parent / f".{place.name}.{token}.partial"
    old = place.parent / f".{place.name}.{token}.old"
    partial.mkdir()
    try:
        yield partial
        require_replaceable(destination, names)
        if place.exists():
            place.rename(old)
        try:
            partial.rename(place)
        except OSError:
            if old.exists():
                old.rename(place)
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def require_replaceable(folder: Path, names: Collection[str] = ()) -> None:
    """A DataError if replacing `folder` would lose what is not ours.

    Ours are the files that its manifest lists, and those of `names`, manifest or not.
    """
    try:
        folder.resolve()
    except (OSError, RuntimeError):  # before Python 3.13 it is the latter
        raise DataError(str(folder), "is a link in a circle", f"remove it: `rm {folder}`") from None
    if not folder.exists():
        return
    if not folder.is_dir():
        raise DataError(str(folder), "is a file, expected a folder", "name a folder")
    place = folder.resolve()
    if place == Path.cwd() or place.is_mount():
        what = "the current folder" if place == Path.cwd() else "the top of a disk"
        raise DataError(str(folder), f"is {what}, and is replaced as a whole", "name one in it")
    ours = listed(folder) | set(names)
    if other := sorted(path.name for path in folder.iterdir() if path.name not in ours):
        shown = ", ".join(map(repr, other[:SHOWN])) + (", …" if len(other) > SHOWN else "")
        problem = f"holds what is not in its manifest, and would be lost: {shown}"
        raise DataError(str(folder), problem, f"move it out of {folder} first")


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
