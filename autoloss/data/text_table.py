"""Text tables of raw data, read line by line: a malformed line is named, with a right one.

A frame library's reader is faster, but its errors name neither the line nor what was expected.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from autoloss.errors import DataError


@dataclass(frozen=True)
class Table:
    """A text table: its source, file, separator, a line as it should be, and its first line."""

    source: str
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
            raise DataError(str(path), "no such file", mend(self.source))
        with path.open(encoding=self.encoding, errors="strict") as file:
            number = 0
            try:
                for number, text in enumerate(file, start=1):
                    line = Line(self, path, number)
                    if number == 1 and self.header is not None:
                        if text.rstrip("\n") != self.header:
                            raise line.error(f"header {self.header!r}", text.rstrip("\n"))
                    elif text.strip():  # the last line of a file may be blank
                        cells = text.rstrip("\n").split(self.separator)
                        if len(cells) != self.width:
                            raise line.error(f"{self.width} columns", f"{len(cells)}")
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
        return DataError(f"{self.path}, line {self.number}", problem, mend(self.table.source))

    def integer(self, text: str, what: str) -> int:
        """The whole number, without a sign, that `text` is."""
        if not text.isascii() or not text.isdigit():
            raise self.error(f"a whole number as {what}", repr(text))
        return int(text)


def mend(source: str) -> str:
    """How to mend a raw file of `source`."""
    return f"fetch the data again with `autoloss fetch {source} --force`, or correct the file"
