"""Members out of archives: by exact name, in a stream, no larger than they may be.

Nothing of an archive decides where a file is written: each named member goes to a new flat file.
Links, devices and folders are refused, and all other members are ignored.
"""

from __future__ import annotations

import errno
import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from autoloss.data.fetching.content import CHUNK, content_of, copy_member, place
from autoloss.data.fetching.progress import progress
from autoloss.data.fetching.space import require_space
from autoloss.data.manifest import RawFile
from autoloss.data.progress import Say
from autoloss.data.registry import Member
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


def extract(
    archive: Path, kind: Kind, members: Sequence[Member], folder: Path, name: str, say: Say
) -> list[RawFile]:
    """Bring `members` of the archive, which messages call `name`, into `folder`, verified."""
    with _sound(name, kind):
        if kind == "zip":
            return _from_zip(archive, members, folder, name, say)
        if kind == "tar.gz":
            return _from_tar(archive, members, folder, name, say)
    (member,) = members
    target = folder / member.name
    place(archive, target)
    content = content_of(target, member)
    content.require_published(member.name, str(target))
    return [content.record(member.name)]


def _from_zip(
    archive: Path, members: Sequence[Member], folder: Path, name: str, say: Say
) -> list[RawFile]:
    files = []
    with zipfile.ZipFile(archive) as opened:
        entries = [_entry(opened, member, name) for member in members]
        require_space(folder.parent, sum(e.file_size for e in entries), f"unpacking {name}")
        for entry, member in zip(entries, members, strict=True):
            with (
                opened.open(entry) as stream,
                progress(f"unpacking {member.name}", entry.file_size, say) as at,
            ):
                files.append(copy_member(stream, folder / member.name, member, at))
    return files


def _entry(opened: zipfile.ZipFile, member: Member, name: str) -> zipfile.ZipInfo:
    found = [entry for entry in opened.infolist() if _plain(entry.filename) == member.path]
    _require_one(len(found), member, name)
    mode = stat.S_IFMT(found[0].external_attr >> 16)
    if mode not in (0, stat.S_IFREG):  # 0: written where files have no mode
        raise DataError(name, f"{member.path} in it is no plain file", "try again later")
    return found[0]


def _from_tar(
    archive: Path, members: Sequence[Member], folder: Path, name: str, say: Say
) -> list[RawFile]:
    wanted = {member.path: member for member in members}
    files: dict[str, RawFile] = {}
    # gzip, unlike tarfile's own streams, checks that the archive ends, and with the right sum.
    with (
        gzip.open(archive) as unzipped,
        tarfile.open(fileobj=unzipped, mode="r|", bufsize=CHUNK) as opened,
    ):
        for entry in opened:
            member = wanted.get(_plain(entry.name))
            if member is None:
                continue
            _require_one(1 + (member.path in files), member, name)
            stream = opened.extractfile(entry) if entry.isreg() else None
            if stream is None:
                raise DataError(name, f"{member.path} in it is no plain file", "try again later")
            require_space(folder.parent, entry.size, f"unpacking {member.name}")
            with progress(f"unpacking {member.name}", entry.size, say) as at:
                files[member.path] = copy_member(stream, folder / member.name, member, at)
        while unzipped.read(CHUNK):
            pass
    for member in members:
        _require_one(int(member.path in files), member, name)
    return [files[member.path] for member in members]


def _plain(path: str) -> str:
    """A member's name; `./` before it, as some tar programs write, is no part of it."""
    return path.removeprefix("./")


def _require_one(count: int, member: Member, name: str) -> None:
    if count != 1:
        problem = f"holds no {member.path}" if count == 0 else f"holds {member.path} twice"
        raise DataError(name, problem, "try again later")


@contextmanager
def _sound(name: str, kind: Kind) -> Iterator[None]:
    try:
        yield
    except (*_UNSOUND, OSError) as error:
        # The seek to a place that cannot be. Other numbers are the disk's, which is full or broken.
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        problem = f"is no sound {kind} archive: {str(error) or type(error).__name__}"
        raise DataError(name, problem, "try again later") from None
