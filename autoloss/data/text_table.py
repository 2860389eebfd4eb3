"""Text tables of raw data, read line by line: a malformed line is named, with a right one.

A frame library's reader is faster, but its errors name neither the line nor what was expected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoloss.data.manifest import MANIFEST, RawManifest, read_manifest
from autoloss.errors import DataError


@dataclass(frozen=True)
class Table:
    """A text table: its file, separator, a line as it should be, and its first line."""

    file: str
    separator: str
    example: str
    encoding: str = "utf-8"
    header: str | None = None

    @property
    def width(self) -> int:
        """The number of columns."""
        return len(self.example.split(self.separator))

    def rows(self, folder: Path) -> Iterator[tuple[Line, list[str]]]:
        """Every line's cells, with what an error message about the line needs."""
        path = folder / self.file
        if not path.exists():
            raise DataError(str(path), "no such file", mend(path))
        with path.open(encoding=self.encoding, errors="strict") as file:
            number = 0
            try:
                for number, text in enumerate(file, start=1):
                    line = Line(self, path, number)
                    if number == 1 and self.header is not None:
                        if text.rstrip("\n") != self.header:
                            raise line.error(*header_fault(text.rstrip("\n"), self))
                    elif text.strip():  # the last line of a file may be blank
                        cells = text.rstrip("\n").split(self.separator)
                        if len(cells) != self.width:
                            raise line.error(*width_fault(text.rstrip("\n"), self))
                        yield line, cells
            except UnicodeDecodeError as error:
                where = Line(self, path, number + 1)
                raise where.error(f"{self.encoding} text", str(error)) from None


@dataclass(frozen=True)
class Line:
    """A line of a table: where it is, for messages about it."""

    table: Table
    path: Path
    number: int

    def error(self, expected: str, found: str) -> DataError:
        """What was expected of this line and what is there instead."""
        example = f"a right line is {self.table.example!r}"
        problem = f"expected {expected}, found {found}; {example}"
        return DataError(f"{self.path}, line {self.number}", problem, mend(self.path))

    def integer(self, text: str, what: str) -> int:
        """The whole number, without a sign, that `text` is."""
        if not text.isascii() or not text.isdigit():
            raise self.error(f"a whole number as {what}", repr(text))
        return int(text)


SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars", " ": "spaces"}


def width_fault(text: str, table: Table) -> tuple[str, str]:
    """Expected and found of a line with too few or too many cells."""
    count = len(text.split(table.separator))
    for separator, name in SEPARATORS.items():
        if separator not in table.separator and len(text.split(separator)) == table.width:
            right = SEPARATORS.get(table.separator, repr(table.separator))
            return f"{table.width} columns separated by {right}", f"{name} between them"
    return f"{table.width} columns", str(count)


def header_fault(text: str, table: Table) -> tuple[str, str]:
    """Expected and found of a first line that is not the header."""
    assert table.header is not None
    expected = f"the header {table.header!r}"
    if text.startswith("\ufeff"):
        return expected, "a byte order mark before it; save the file without one"
    if text == table.header + "\r":
        return expected, WINDOWS
    names, cells = table.header.split(table.separator), text.split(table.separator)
    if len(names) != len(cells) or len(names) == 1:
        return expected, repr(text[:80])
    k, name, cell = next(
        (k, a, b) for k, (a, b) in enumerate(zip(names, cells, strict=True)) if a != b
    )
    return expected, f"{cell[:80]!r} in the place of {name!r}, column {k + 1}"


WINDOWS = r"Windows' \r\n; `sed -i 's/\r$//' FILE` mends it"


def mend(path: Path) -> str:
    """How to mend a raw file, by the way that its folder's manifest says that it came."""
    other = f"run `autoloss fetch {path.parent.name}`"
    if not (path.parent / MANIFEST).exists():
        return other
    return read_manifest(path.parent, RawManifest, other).mend
