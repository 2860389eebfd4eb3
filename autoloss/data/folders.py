"""Folders that appear complete or not at all, made by one process at a time."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.filesize import decimal

from autoloss.data.manifest import MANIFEST, listed
from autoloss.data.progress import Say
from autoloss.errors import DataError
from autoloss.lock import sole_holder

SHOWN = 5  # files that a message names


class NoSpaceError(DataError):
    """The disk would be full: another mirror would not help."""


@contextmanager
def sole_owner(folder: Path, say: Say) -> Iterator[None]:
    """Hold the lock of `folder` during the block; wait while another process holds it.

    What a process left behind that was killed within `atomic_folder` is cleared away.
    """
    place = folder.resolve()  # where a link leads: two of them may lead to one folder
    lock = place.with_name(f".{place.name}.lock")
    with sole_holder(lock, lambda line: say(f"{folder.name}: {line}")):
        _clear(place)
        yield


@contextmanager
def atomic_folder(destination: Path, names: Collection[str] = ()) -> Iterator[Path]:
    """A temporary folder beside `destination` that replaces it if the block ends without error.

    On an error the temporary folder goes and whatever was at `destination` stays. Processes that
    have mapped files of the old folder keep reading those. Of a link, the folder that it leads to
    is replaced. Only for the `sole_owner` of `destination`. `names`: as for `require_replaceable`.
    """
    require_replaceable(destination, names)
    place = destination.resolve()
    partial, old = _beside(place)
    partial.mkdir(parents=True)
    try:
        yield partial
        require_replaceable(destination, names)
        if place.exists():
            place.rename(old)
        partial.rename(place)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        _clear(place)


@contextmanager
def scratch_beside(folder: Path) -> Iterator[Path]:
    """An empty folder on the disk of `folder`, gone after the block. Only for its `sole_owner`."""
    place = folder.resolve()
    scratch, _ = _beside(place)
    scratch.mkdir(parents=True)
    try:
        yield scratch
    finally:
        _clear(place)


def _beside(place: Path) -> tuple[Path, Path]:
    """Where a folder's successor and predecessor are while it is replaced."""
    name = f".{place.name}.autoloss"
    return place.with_name(f"{name}-partial"), place.with_name(f"{name}-old")


def _clear(place: Path) -> None:
    """Remove what is half made; put the old folder back where no new one took its place."""
    partial, old = _beside(place)
    earlier = f".{place.name}.{'[0-9a-f]' * 8}"  # and as version 0.1 named them
    for folder in (partial, *place.parent.glob(f"{earlier}.partial")):
        shutil.rmtree(folder, ignore_errors=True)
    for folder in (old, *place.parent.glob(f"{earlier}.old")):
        if (place / MANIFEST).exists():
            shutil.rmtree(folder, ignore_errors=True)
        else:
            with suppress(OSError):  # there is none, or somebody's files are in the way
                folder.rename(place)


def require_replaceable(folder: Path, names: Collection[str] = ()) -> None:
    """A DataError if replacing `folder` would lose what this program did not write.

    It wrote the files that the folder's manifest lists, and those of `names`, manifest or not.
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
    written = listed(folder) | set(names)
    if other := sorted(path.name for path in folder.iterdir() if path.name not in written):
        shown = ", ".join(map(repr, other[:SHOWN])) + (", …" if len(other) > SHOWN else "")
        problem = f"holds what is not in its manifest, and would be lost: {shown}"
        raise DataError(str(folder), problem, f"move it out of {folder} first")


def require_space(folder: Path, needed: int, what: str) -> None:
    """A NoSpaceError unless the disk of `folder` has `needed` bytes free for `what`."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise NoSpaceError(
            str(folder),
            f"{what} needs {decimal(needed)}, and {decimal(free)} are free on this disk",
            f"free {decimal(needed - free)}, or make {folder} a link to a larger disk",
        )
