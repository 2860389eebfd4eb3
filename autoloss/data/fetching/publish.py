"""The last step of every way to a raw folder: what is known is compared, the manifest written."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from autoloss.data.fetching.content import content_of
from autoloss.data.fetching.known import known_file, read_known, settle
from autoloss.data.manifest import MANIFEST, RawFile, RawManifest, write_manifest
from autoloss.data.registry import Mirror, SourceSpec


def publish(
    folder: Path,
    raw_dir: Path,
    source: SourceSpec,
    mirror: Mirror,
    files: Sequence[RawFile],
    *,
    came: str = "",
    archive: RawFile | None = None,
) -> None:
    """Write the manifest into `folder`, which is to become `raw_dir`.

    `came` says how, where the files were not downloaded.
    """
    settle(known_file(raw_dir), source.name, mirror, files)
    manifest = RawManifest(
        source=source.name,
        mirror=came or mirror.label,
        format=mirror.format,
        files=tuple(files),
        fetched=datetime.now(UTC).isoformat(timespec="seconds"),
        archive=archive,
    )
    write_manifest(folder, manifest)


def adopt(source: SourceSpec, raw_dir: Path) -> bool:
    """Whether `raw_dir` holds every right file but no manifest, which is then written.

    So it is after Snakemake, which deletes the outputs of a rule before it runs it again.
    """
    known = read_known(known_file(raw_dir), source.name).files
    for mirror in source.mirrors:
        files = []
        for member in mirror.members:
            path = raw_dir / member.name
            if not path.is_file():
                break
            content = content_of(path, member)
            files.append(content.record(member.name))
            recorded = known.get(f"{mirror.format}/{member.name}")
            checkable = member.md5 or member.sha256 or recorded
            if not checkable or content.differences() or recorded not in (None, files[-1]):
                break
        else:
            with tempfile.TemporaryDirectory(dir=raw_dir) as folder:
                publish(Path(folder), raw_dir, source, mirror, files, came="files found in place")
                (Path(folder) / MANIFEST).replace(raw_dir / MANIFEST)
            return True
    return False
