"""Text tables of raw data: what a right line is, and what is wrong with one that is not.

A small table is read line by line, so that a malformed line is named, with a right one. A layout
says what every cell of a large table must be; `_lines` reads by it, a block at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from autoloss.data.manifest import MANIFEST, RawManifest, read_manifest
from autoloss.data.specs import DatasetSpec
from autoloss.errors import DataError

PART = "(part)"  # a column: the number of the part, in the order of `SPLITS`, that a row is in


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
class Kind:
    """What a cell may be: for messages, as a pattern, and as values of a column.

    `values` turns a column read as `dtype` into values, and gives null for a cell that does not
    match `pattern`: a reader that compares nulls before and after needs the pattern for messages
    only. A cell of an `optional` kind may be empty, which is a missing value. `limits` say what a
    cell must be beside `what`.
    """

    what: str
    pattern: bytes
    dtype: type[pl.DataType]
    values: Callable[[pl.Expr], pl.Expr]
    optional: bool = False
    limits: str = ""

    def rule(self, column: str) -> str:
        """What a cell of a column must be."""
        limits = "; ".join(filter(None, [self.limits, "may be empty" if self.optional else ""]))
        return f"{self.what} as {column}" + (f" ({limits})" if limits else "")


@dataclass(frozen=True, kw_only=True)
class Layout(Table):
    """A large text table: its files in the order they are read, and the columns of a line.

    Example and header are those of each file. `characters` are all that a line may hold: quotes,
    spaces, carriage returns and non-ASCII text are found by them.
    """

    files: tuple[str, ...]
    columns: dict[str, Kind]
    characters: bytes


@dataclass(frozen=True)
class Described:
    """A format of files that a data set's `table` describes: read with the description at hand."""

    read: Callable[[DatasetSpec, Sequence[Path]], Iterator[pl.DataFrame]]


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


def _whole(cells: pl.Expr) -> pl.Expr:
    in_range = cells.is_between(-999_999_999, 999_999_999)
    return pl.when(in_range).then(cells.cast(pl.Int32, strict=False))


def _hex(cells: pl.Expr) -> pl.Expr:
    numbers = cells.str.to_integer(base=16, dtype=pl.UInt32, strict=False)
    return pl.when(cells.str.len_bytes() == 8).then(numbers)


def _click(cells: pl.Expr) -> pl.Expr:
    return pl.when((cells == "0") | (cells == "1")).then((cells == "1").cast(pl.Int8))


def _stars(cells: pl.Expr) -> pl.Expr:
    whole = [f"{n}{end}" for n in range(1, 6) for end in ("", ".0")]
    known = cells.is_in([*whole, *(f"{n}.5" for n in range(5))])
    return pl.when(known).then(cells.cast(pl.Float64, strict=False))


# Text of 8 hexadecimal digits is carried as UInt32, and no other column is: `hex_digits`.
HEX = Kind("8 hexadecimal digits", rb"[0-9a-f]{8}", pl.String, _hex, limits="0-9, a-f")
WHOLE = Kind("a whole number", rb"-?0*[0-9]{1,9}", pl.Int64, _whole, limits="at most 9 digits")
CLICK = Kind("a label of 0 or 1", rb"[01]", pl.String, _click)
STARS = Kind("a rating of 0.5 to 5 in half steps", rb"[0-4]\.5|[1-5](?:\.0)?", pl.String, _stars)
LEFT_OUT = Kind("anything", rb"[^\t,]*", pl.String, lambda cells: cells, optional=True)


def hex_digits(numbers: npt.NDArray[np.integer]) -> pl.Series:
    """The texts that `HEX` reads as these numbers below 2³²."""
    digits = numbers.astype(">u4").tobytes().hex().encode()
    ends = np.arange(0, len(digits) + 1, 8, dtype=np.int32)
    buffers = pa.py_buffer(ends), pa.py_buffer(digits)
    return pl.Series(pa.StringArray.from_buffers(len(numbers), *buffers))
