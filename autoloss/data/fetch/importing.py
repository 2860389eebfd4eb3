"""Files that the user already has, taken in as a download would be: same checks, same folder."""

from __future__ import annotations

import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from autoloss.data.fetch.archive import Kind, extract, take
from autoloss.data.fetch.content import LATER, measure_file, require_published
from autoloss.data.fetch.raw_folder import publish
from autoloss.data.fetch.source import show_terms
from autoloss.data.folders import NoSpaceError, atomic_folder, require_replaceable, sole_owner
from autoloss.data.manifest import IMPORTED, MANIFEST, RawFile
from autoloss.data.progress import Say
from autoloss.data.specs import Mirror, SourceSpec, UrlMirror
from autoloss.errors import DataError
from autoloss.faults import machine_faults


def import_files(source: SourceSpec, files: Sequence[Path], raw_dir: Path, *, say: Say) -> Path:
    """Make `raw_dir` of an archive, or of all member files, and return its manifest's path.

    Members are hard-linked where the disk is the same, else copied; `files` stay as they are.

    Raises:
        DataError: a file is missing, or they are not, as any mirror has it, the source's data.
        MachineError: the disk is full or broken.
    """
    for file in files:
        if not file.is_file():
            raise DataError(shown(str(file)), "no such file", f"name {_expected(source)}")
    show_terms(source, say)
    reasons, came = [], f"{IMPORTED} from {', '.join(shown(file.name) for file in files)}"
    with machine_faults(raw_dir.parent), sole_owner(raw_dir, say):
        require_replaceable(raw_dir)
        for mirror in source.mirrors:
            try:
                with atomic_folder(raw_dir) as folder:
                    taken, archive = _take(mirror, files, folder, say)
                    publish(folder, raw_dir, source, mirror, taken, came=came, archive=archive)
            except NoSpaceError:
                raise
            except DataError as error:
                reasons.append(f"as of {mirror.label}: {error.problem}")
            else:
                say(f"{source.name}: {came} into {raw_dir}, digests verified")
                return raw_dir / MANIFEST
    problem = f"not the data of {source.name}:\n    " + "\n    ".join(dict.fromkeys(reasons))
    where = ", ".join(shown(str(file)) for file in files)
    raise DataError(where, problem, f"name {_expected(source)}")


def shown(name: str) -> str:
    """A file's name on one line, in characters that every encoding of a manifest holds."""
    return name if name.isprintable() else ascii(name)


def _take(
    mirror: Mirror, files: Sequence[Path], folder: Path, say: Say
) -> tuple[list[RawFile], RawFile | None]:
    """The mirror's members in `folder`, and the entry of its archive if that was given."""
    kind: Kind = mirror.archive if isinstance(mirror, UrlMirror) else "zip"
    file = files[0]
    if len(files) == 1 and kind != "none" and _kind(file) == kind:
        archive, name = None, shown(file.name)
        if isinstance(mirror, UrlMirror):
            if mirror.bytes not in (None, size := file.stat().st_size):  # before it is all read
                problem = f"{name} differs: expected {mirror.bytes} bytes, found {size}"
                raise DataError(shown(str(file)), problem, LATER)
            archive = require_published(measure_file(file, name, mirror), shown(str(file)))
        return extract(file, kind, mirror.members, folder, name, say), archive
    by_name = {file.name: file for file in files}
    if len(by_name) < len(files):
        raise DataError(", ".join(by_name), "two have one name", "name each once")
    if absent := [member.name for member in mirror.members if member.name not in by_name]:
        raise DataError(", ".join(by_name), f"{', '.join(absent)} is not among them", "name it too")
    return [take(by_name[member.name], member, folder) for member in mirror.members], None


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
