"""A raw folder's content: compared with what is published and was found before, and written down.

What is not published of a file, the first download finds; every later one must find the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from autoloss.data.fetch.content import measure_file
from autoloss.data.manifest import MANIFEST, RawFile, RawManifest, read_manifest, write_manifest
from autoloss.data.specs import Mirror, Pinned, SourceSpec
from autoloss.errors import DataError
from autoloss.records.store import write_text
from autoloss.strict import Strict


class Known(Strict):
    """`data/known/<source>.json`: sizes and digests by format and file."""

    schema_version: Literal[1] = 1
    source: str
    files: dict[str, RawFile]


def known_file(raw_dir: Path) -> Path:
    """Where the values of `data/raw/<source>` are kept; no fetch deletes it, `--force` neither."""
    return raw_dir.parent.parent / "known" / f"{raw_dir.name}.json"


def read_known(path: Path, source: str) -> Known:
    """What is known of `source`; empty before its first download."""
    try:
        return Known.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Known(source=source, files={})
    except (ValidationError, UnicodeDecodeError):
        mend = "delete it; the next download writes it anew"
        raise DataError(str(path), "not a file of this version's known digests", mend) from None


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

    A member whose size and sha256 are both published has been compared with them; others are
    compared with what is known, or become known. `came` says how, where they were not downloaded.
    """
    path = known_file(raw_dir)
    known = read_known(path, source.name)
    unpublished = {
        f"{mirror.format}/{file.name}": file
        for member, file in zip(mirror.members, files, strict=True)
        if member.bytes is None or member.sha256 is None
    }
    for key, file in unpublished.items():
        before = known.files.get(key, file)
        if before != file:
            raise DataError(
                str(path),
                f"{file.name} differs from the first download: {_difference(before, file)}",
                f"keep the old files, or delete {path} if the new ones are the right ones",
            )
    if unpublished.keys() - known.files.keys():
        both = known.model_copy(update={"files": known.files | unpublished})
        write_text(both.model_dump_json(indent=2) + "\n", path)
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
        if not all((raw_dir / member.name).is_file() for member in mirror.members):
            continue
        measured = [measure_file(raw_dir / m.name, m.name, m) for m in mirror.members]
        before = [known.get(f"{mirror.format}/{member.name}") for member in mirror.members]
        if all(
            not wrong and (member.md5 or member.sha256 or recorded) and recorded in (None, file)
            for member, recorded, (file, wrong) in zip(
                mirror.members, before, measured, strict=True
            )
        ):
            files = [file for file, _ in measured]
            publish(raw_dir, raw_dir, source, mirror, files, came="files found in place")
            return True
    return False


def verify_raw(raw_dir: Path) -> RawManifest:
    """The manifest of `raw_dir`, once every file's size and digest agree with it."""
    anew = " --force" if (raw_dir / MANIFEST).exists() else ""
    raw = read_manifest(raw_dir, RawManifest, f"run `autoloss fetch {raw_dir.name}{anew}`")
    for file in raw.files:
        path = raw_dir / file.name
        if not path.exists():
            raise DataError(str(path), "no such file", raw.mend)
        there, _ = measure_file(path, file.name, Pinned())
        if there != file:
            raise DataError(str(path), f"{path.name} differs: {_difference(file, there)}", raw.mend)
    return raw


def _difference(expected: RawFile, there: RawFile) -> str:
    return (
        f"expected {expected.bytes} bytes, sha256 {expected.sha256}; "
        f"found {there.bytes} bytes, sha256 {there.sha256}"
    )
