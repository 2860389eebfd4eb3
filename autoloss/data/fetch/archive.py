"""Members out of archives: by exact name, in a stream, no larger than they may be.

Nothing of an archive decides where a file is written: each named member goes to a new flat file.
Links, devices and folders are refused, and all other members are ignored.
"""

from __future__ import annotations

import errno
import gzip
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, Literal, NamedTuple

from autoloss.data.fetch.content import CHUNK, LATER, measure, measure_file, require_published
from autoloss.data.folders import require_space
from autoloss.data.manifest import RawFile
from autoloss.data.progress import Say, byte_progress
from autoloss.data.specs import Member
from autoloss.errors import DataError

Kind = Literal["zip", "tar.gz", "none"]
_UNSOUND = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    EOFError,
    zlib.error,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # an encrypted member
    ValueError,  # a place or a size that cannot be, in a header
)


class _Entry(NamedTuple):
    path: str
    size: int
    plain: bool  # neither a link, nor a device, nor a folder
    open: Callable[[], IO[bytes] | None]


def extract(
    archive: Path, kind: Kind, members: Sequence[Member], folder: Path, name: str, say: Say
) -> list[RawFile]:
    """Bring `members` of the archive, which messages call `name`, into `folder`, verified."""
    if kind == "none":
        return [take(archive, member, folder) for member in members]
    wanted, files = {member.path: member for member in members}, dict[str, RawFile]()
    with _sound(name, kind):
        for entry in _of_zip(archive) if kind == "zip" else _of_tar(archive):
            # `./` before a name, as some tar programs write, is no part of it.
            member = wanted.get(entry.path.removeprefix("./"))
            if member is None:
                continue
            if member.path in files:
                raise DataError(name, f"holds {member.path} twice", LATER)
            stream = entry.open() if entry.plain else None
            if stream is None:
                raise DataError(name, f"{member.path} in it is no plain file", LATER)
            require_space(folder.parent, entry.size, f"unpacking {member.name}")
            target = folder / member.name
            with (
                stream,
                target.open("xb") as file,
                byte_progress(f"unpacking {member.name}", entry.size, say) as at,
            ):
                measured = measure(stream, member.name, member, to=file, limit=member.limit, at=at)
            files[member.path] = require_published(measured, str(target))
    if absent := [path for path in wanted if path not in files]:
        raise DataError(name, f"holds no {absent[0]}", LATER)
    return [files[member.path] for member in members]


def take(source: Path, member: Member, folder: Path) -> RawFile:
    """Bring a single file into `folder`, verified: a hard link on one disk, else a copy."""
    target = folder / member.name
    try:
        os.link(source, target, follow_symlinks=True)
    except OSError:
        require_space(folder.parent, source.stat().st_size, f"copying {source.name}")
        shutil.copyfile(source, target)
    return require_published(measure_file(target, member.name, member), str(source))


def _of_zip(archive: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            mode = stat.S_IFMT(entry.external_attr >> 16)
            plain = mode in (0, stat.S_IFREG)  # 0: written where files have no mode
            yield _Entry(entry.filename, entry.file_size, plain, partial(opened.open, entry))


def _of_tar(archive: Path) -> Iterator[_Entry]:
    # gzip, unlike tarfile's own streams, checks that the archive ends, and with the right sum.
    with (
        gzip.open(archive) as unzipped,
        tarfile.open(fileobj=unzipped, mode="r|", bufsize=CHUNK) as opened,
    ):
        for entry in opened:
            stream = partial(opened.extractfile, entry)
            yield _Entry(entry.name, entry.size, entry.isreg(), stream)
        while unzipped.read(CHUNK):
            pass


@contextmanager
def _sound(name: str, kind: Kind) -> Iterator[None]:
    try:
        yield
    except (*_UNSOUND, OSError) as error:
        # The seek to a place that cannot be. Other numbers are the disk's, which is full or broken.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        problem = f"is no sound {kind} archive: {str(error) or type(error).__name__}"
        raise DataError(name, problem, LATER) from None
