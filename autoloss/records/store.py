"""Records on disk: written whole or not at all, read strictly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from autoloss.errors import RecordError
from autoloss.records.schema import Record, Search
from autoloss.strict import Strict

MEND = "delete the file and run snakemake again: it is made anew"

Kind = TypeVar("Kind", bound=Strict)


def write_text(text: str, file: Path) -> Path:
    """Write `file` as `write_bytes` does, in UTF-8."""
    return write_bytes(text.encode(), file)


def write_bytes(content: bytes | memoryview, file: Path) -> Path:
    """Write `file` by a temporary name and a rename, so that no reader sees half of it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)
    return file


def write_record(record: Record | Search, file: Path) -> None:
    """Write a record, atomically."""
    write_text(record.model_dump_json(indent=1) + "\n", file)


def read_record(file: Path) -> Record:
    """A run's record.

    Raises:
        RecordError: it is missing, damaged, or of another schema version.
    """
    return _read(file, Record)


def read_search(file: Path) -> Search:
    """A search's record; raises as `read_record`."""
    return _read(file, Search)


def _read(file: Path, kind: type[Kind]) -> Kind:
    try:
        return kind.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(str(file), f"cannot be read: {error}", "run snakemake again") from error
    except (ValidationError, UnicodeDecodeError) as error:
        detail = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        raise RecordError(str(file), f"is not a record of this version: {detail}", MEND) from error
