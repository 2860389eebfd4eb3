"""Records on disk: written whole or not at all, sealed by a checksum, read strictly.

A record's last line is SHA-256 over everything before it. Whatever changes a file after it was
written (an edit by hand, a bad disk, half a copy) is found before a number of it is used.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Callable
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from autoloss.errors import RecordError
from autoloss.faults import machine_faults
from autoloss.records.schema import Record, Search
from autoloss.strict import Strict

MEND = (
    "run `autoloss check --rerun` with the study's --config, then snakemake again: it is made anew"
)
MISSING = "run `snakemake --cores all` with the --configfile of the study: it is made"
MAX_BYTES = 64 * 2**20  # some thousand times a record's usual size
END = "\n}\n"
CHECKSUM = re.compile(r',\n "checksum": "([0-9a-f]{64})"\n}\n')

Kind = TypeVar("Kind", bound=Strict)


def write_text(text: str, file: Path) -> Path:
    """Write `file` as `write_bytes` does, in UTF-8."""
    return write_bytes(text.encode(), file)


def write_bytes(content: bytes | memoryview, file: Path) -> Path:
    """Write `file` by a temporary name and a rename, so that no reader sees half of it.

    Raises:
        MachineError: the disk is full or broken; what `file` held before is still there.
    """
    temporary = file.with_name(f".{file.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    with machine_faults(file):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            remove_temporaries(file, _is_of_a_dead_process)
            temporary.write_bytes(content)
            os.replace(temporary, file)
        finally:
            with suppress(OSError):  # what is left is removed by who writes the file next
                temporary.unlink(missing_ok=True)
    return file


def remove_temporaries(file: Path, is_left: Callable[[Path], bool] = lambda place: True) -> None:
    """Remove what killed writers of `file` left; of all, so call it where nobody else writes it."""
    if file.parent.is_dir():
        for place in file.parent.glob(f".{escape(file.name)}.*.tmp"):
            if is_left(place):
                with suppress(OSError):  # in the way of nothing
                    place.unlink(missing_ok=True)


def _is_of_a_dead_process(temporary: Path) -> bool:
    """Whether this host wrote it, by a process that is no more; of other hosts nothing is known."""
    start, _, process = temporary.name.removesuffix(".tmp").rpartition(".")
    if not start.endswith(f".{socket.gethostname()}") or not process.isdecimal():
        return False
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False  # somebody else's
    return False


def write_record(record: Record | Search, file: Path) -> None:
    """Write a record with its checksum, atomically."""
    write_text(seal(record.model_dump_json(indent=1) + "\n"), file)


def seal(text: str) -> str:
    """A JSON object's text, indented by 1, with the checksum over it as its last key."""
    return f'{text.removesuffix(END)},\n "checksum": "{_sha256(text)}"{END}'


def read_record(file: Path) -> Record:
    """A run's record.

    Raises:
        RecordError: it is missing, damaged, changed since it was written, or of another schema.
    """
    return parse_record(read_limited(file), str(file))


def read_search(file: Path) -> Search:
    """A search's record; raises as `read_record`."""
    return parse_search(read_limited(file), str(file))


def parse_record(content: bytes, where: str) -> Record:
    """The record in a file's `content`; errors name `where` it is from, as `read_record`'s."""
    return _parse(content, where, Record)


def parse_search(content: bytes, where: str) -> Search:
    """The search's record in a file's `content`; raises as `read_record`."""
    return _parse(content, where, Search)


def read_limited(file: Path, limit: int | None = MAX_BYTES) -> bytes:
    """What a file holds, up to so many bytes; None: however many they are.

    Raises:
        RecordError: it cannot be read, or is too large to be what it should be.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(-1 if limit is None else limit + 1)
    except FileNotFoundError:
        raise RecordError(str(file), "no such file", MISSING) from None
    except OSError as error:
        raise RecordError(str(file), f"cannot be read: {error}", MEND) from error
    if limit is not None and len(content) > limit:
        raise RecordError(str(file), f"is larger than {limit:,} bytes", MEND)
    return content


def _parse(content: bytes, where: str, kind: type[Kind]) -> Kind:
    try:
        text = content.decode()
        _check_version(from_json(text), where, kind)
        return kind.model_validate_json(_unsealed(text, where))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        detail = f"{first['msg']} (key '{key}')" if key else first["msg"]
        raise RecordError(where, f"is not a record of this version: {detail}", MEND) from error
    except ValueError as error:  # not UTF-8, or no JSON
        raise RecordError(where, f"is damaged, no record: {error}", MEND) from error


def _check_version(found: Any, where: str, kind: type[Strict]) -> None:
    """Said before anything else: a record of another version is not a damaged one."""
    if not isinstance(found, dict):
        raise RecordError(where, "is damaged, no record: no JSON object", MEND)
    known = kind.model_fields["schema_version"].default
    version = found.get("schema_version", "none")
    if version != known:
        shown = str(version)[:20]
        raise RecordError(where, f"is of schema {shown}, this autoloss reads schema {known}", MEND)


def _unsealed(text: str, where: str) -> str:
    """The text without its last line, the checksum, which must fit."""
    found = CHECKSUM.search(text, max(0, len(text) - 100))
    body = text[: found.start()] + END if found else text
    if not found or found.end() != len(text) or found[1] != _sha256(body):
        raise RecordError(where, "was changed after it was written: its checksum is off", MEND)
    return body


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
