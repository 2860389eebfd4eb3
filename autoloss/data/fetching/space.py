"""Room on the disk, asked for before bytes come rather than when it has run out."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

from rich.filesize import decimal

from autoloss.errors import DataError


class NoSpaceError(DataError):
    """The disk is full, or would be: another mirror would not help."""


def require_space(folder: Path, needed: int, what: str) -> None:
    """A NoSpaceError unless the disk of `folder` has `needed` bytes free for `what`."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise NoSpaceError(
            str(folder),
            f"{what} needs {decimal(needed)}, and {decimal(free)} are free on this disk",
            f"free {decimal(needed - free)}, or make {folder} a link to a larger disk",
        )


def local_problem(folder: Path, error: OSError) -> DataError:
    """What an error of this machine's own disk means to the user."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpaceError(
            str(folder),
            f"the disk is full: {error.strerror}",
            "free some space and run it again; a download goes on from where it stopped",
        )
    return DataError(
        str(error.filename or folder),
        f"{error.strerror or error}",
        f"make {folder} a folder in which this user may create files",
    )
