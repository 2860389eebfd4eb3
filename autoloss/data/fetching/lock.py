"""One process at a time brings a source; what a killed one left behind is cleared away."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from autoloss.data.manifest import MANIFEST
from autoloss.data.progress import Say
from autoloss.lock import sole_holder


@contextmanager
def sole_owner(raw_dir: Path, say: Say) -> Iterator[None]:
    """Hold the lock of `raw_dir` during the block; wait while another process holds it."""
    place = raw_dir.resolve()  # where a link leads: two of them may lead to one folder
    path = place.parent / f".{place.name}.lock"
    with sole_holder(path, lambda line: say(f"{raw_dir.name}: {line}")):
        _clear(place)
        yield


def _clear(raw_dir: Path) -> None:
    """Remove a dead process's folders; put the old one back if it died between two renames.

    The names are those of `atomic_folder`, whose every user holds the lock here.
    """
    for old in raw_dir.parent.glob(f".{raw_dir.name}.*.old"):
        if (old / MANIFEST).exists() and not (raw_dir / MANIFEST).exists():
            with suppress(OSError):  # only an empty folder may be in the way
                if raw_dir.exists():
                    raw_dir.rmdir()
                old.rename(raw_dir)
        else:
            shutil.rmtree(old, ignore_errors=True)
    for partial in raw_dir.parent.glob(f".{raw_dir.name}.*.partial"):
        shutil.rmtree(partial, ignore_errors=True)
