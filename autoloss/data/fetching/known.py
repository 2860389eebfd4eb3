"""What the first download of an unpublished value found: every later one must find the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from autoloss.data.manifest import RawFile
from autoloss.data.registry import Mirror
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


def settle(path: Path, source: str, mirror: Mirror, files: Sequence[RawFile]) -> None:
    """Compare `files` with what is known of them, and record what is not known yet.

    A member whose size and sha256 are both published is left out: it has been compared with them.
    """
    known = read_known(path, source)
    found = {
        f"{mirror.format}/{file.name}": file
        for member, file in zip(mirror.members, files, strict=True)
        if member.bytes is None or member.sha256 is None
    }
    for key, file in found.items():
        before = known.files.get(key, file)
        if before != file:
            raise DataError(
                str(path),
                f"{file.name} differs from the first download: expected {before.bytes} bytes, "
                f"sha256 {before.sha256}; found {file.bytes} bytes, sha256 {file.sha256}",
                f"keep the old files, or delete {path} if the new ones are the right ones",
            )
    if found.keys() - known.files.keys():
        both = known.model_copy(update={"files": known.files | found})
        write_text(both.model_dump_json(indent=2) + "\n", path)
