"""Folders that appear complete or not at all."""

from __future__ import annotations

import hashlib
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_folder(destination: Path) -> Iterator[Path]:
    """A temporary folder beside `destination` that replaces it if the block ends without error.

    On an error the temporary folder goes and whatever was at `destination` stays. Processes that
    have mapped files of the old folder keep reading those.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex[:8]
    partial = destination.parent / f".{destination.name}.{token}.partial"
    old = destination.parent / f".{destination.name}.{token}.old"
    partial.mkdir()
    try:
        yield partial
        if destination.exists():
            destination.rename(old)
        try:
            partial.rename(destination)
        except OSError:
            if old.exists():
                old.rename(destination)
            raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
