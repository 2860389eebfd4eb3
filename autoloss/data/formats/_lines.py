"""Large text files, a block of whole lines at a time, in bounded memory (paper §3.1's own data).

A block is checked as a whole: its characters, its number of separators, the nulls that
reading its columns leaves. Only a block that fails is looked at line by line, to name the lines.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import polars as pl

from autoloss.data.formats._table import (
    SEPARATORS,
    WINDOWS,
    Layout,
    Line,
    header_fault,
    mend,
    width_fault,
)
from autoloss.data.progress import Say
from autoloss.errors import DataError

BLOCK = 1 << 24  # bytes read at a time, 67,000 lines of Criteo; larger ones are slower
LONGEST = 1 << 16  # bytes of a line; without a limit a binary file would be read as one line
BOM = b"\xef\xbb\xbf"
CUT = "; the file ends in this line and may be cut off"
MISSING = (b"nan", b"na", b"n/a", b"null", b"none", b"\\n", b"?", b"-")  # as others write it
SHOWN = 5  # skipped lines that are named one by one


@dataclass
class Leniency:
    """How many malformed lines may be skipped, and how many were."""

    limit: int
    say: Say
    skipped: int = 0

    def skip(self, error: DataError) -> None:
        """Count a malformed line; once there are more than the limit, its error is raised."""
        if self.skipped >= self.limit:
            allowed = f"; {self.limit} malformed lines were skipped before" if self.limit else ""
            how = "or let `max_bad_rows` of the data set skip such lines"
            raise DataError(error.where, error.problem + allowed, f"{error.mend}, {how}")
        self.skipped += 1
        if self.skipped <= SHOWN:
            self.say(f"skipped {error.where}: {error.problem}")


def read_lines(
    layout: Layout, folder: Path, leniency: Leniency, block_bytes: int = BLOCK
) -> Iterator[pl.DataFrame]:
    """The rows of the layout's files in `folder`, some at a time, malformed lines left out."""
    paths = [folder / name for name in layout.files if (folder / name).exists()]
    if not paths:
        where = folder / layout.file
        raise DataError(str(where), "no such file", mend(where))
    for path in paths:
        with path.open("rb") as file:
            number = _header(layout, path, file)
            while block := file.read(block_bytes) + file.readline(LONGEST):
                frame = parse(block, layout)
                if frame is None:
                    first = Line(layout, path, number)
                    good = _good_lines(block, first, layout, leniency)
                    frame = parse(good, layout)
                    if frame is None and good:  # a mistake of this module: the two ways disagree
                        raise first.error("lines of this format from here on", "others")
                if frame is not None:
                    yield frame
                number += _count(block, "\n")


def parse(block: bytes, layout: Layout) -> pl.DataFrame | None:
    """The rows of whole lines as values, or None if any line is malformed."""
    separator, lines = layout.separator, _count(block, "\n")
    if (
        block[-1:] != b"\n"
        or block.translate(None, layout.characters)
        or _count(block, separator) != lines * (layout.width - 1)
    ):
        return None
    try:
        cells = pl.read_csv(
            block,
            has_header=False,
            separator=separator,
            schema={name: kind.dtype for name, kind in layout.columns.items()},
            quote_char=None,
        )
    except pl.exceptions.PolarsError:  # a number that is none, or a line with too many columns
        return None
    values = cells.select(
        kind.values(pl.col(name)).alias(name) for name, kind in layout.columns.items()
    )
    before, after = (frame.null_count().row(0) for frame in (cells, values))
    missing = zip(before, after, layout.columns.values(), strict=True)
    if cells.height != lines or any(b != a or (a and not k.optional) for b, a, k in missing):
        return None
    return values


def _count(block: bytes, character: str) -> int:
    # bytes.count takes three times as long where there are many.
    return int(np.count_nonzero(np.frombuffer(block, dtype=np.uint8) == ord(character)))


def _header(layout: Layout, path: Path, file: BinaryIO) -> int:
    """Read the header, if the layout has one; the number of the first line of rows."""
    if not path.stat().st_size:
        raise DataError(str(path), "the file is empty", mend(path))
    if layout.header is None:
        return 1
    first = file.readline(LONGEST).rstrip(b"\n")
    if first != layout.header.encode():
        text = first.decode("utf-8", errors="backslashreplace")
        raise Line(layout, path, 1).error(*header_fault(text, layout))
    return 2


def _good_lines(block: bytes, first: Line, layout: Layout, leniency: Leniency) -> bytes:
    """A block without its malformed lines, which are counted."""
    cells = (b"(?:%s)%s" % (k.pattern, b"?" * k.optional) for k in layout.columns.values())
    pattern = re.compile(layout.separator.encode().join(cells) + rb"\n")
    good = []
    for number, text in enumerate(io.BytesIO(block), start=first.number):
        if pattern.fullmatch(text) and not text.translate(None, layout.characters):
            good.append(text)
        else:
            line = Line(layout, first.path, number)
            leniency.skip(line.error(*_fault(text, number, layout)))
    return b"".join(good)


def _fault(text: bytes, number: int, layout: Layout) -> tuple[str, str]:
    """What was expected of a malformed line, and what is there instead."""
    if len(text) >= LONGEST:
        return "lines of text", f"one of {LONGEST:,} bytes or more; is the file compressed?"
    body = text.rstrip(b"\r\n")
    if number == 1 and _is_header(body):  # where a header belongs, rows begin with line 2
        return "a row, as this format has no header", f"a header, {_shown(body)}"
    if text.startswith(BOM):
        return "a row", "a byte order mark before it; save the file without one"
    if text.endswith(b"\r\n"):
        return "lines that end in a line feed", WINDOWS
    if re.search(rb"[\0-\x08\x0e-\x1f]", text):
        return "plain ASCII text", f"{_shown(body[:20])}; is the file compressed or binary?"
    return _width_fault(text, layout) or _cell_fault(text, layout)


def _is_header(body: bytes) -> bool:
    """Whether a line holds names, as no row of a format does: rows have numbers."""
    cells = re.split(rb"[%s]" % re.escape("".join(SEPARATORS)).encode(), body.removeprefix(BOM))
    return len(cells) > 1 and all(re.fullmatch(rb"[\"']?[A-Za-z_][\w.-]*[\"']?", c) for c in cells)


def _width_fault(text: bytes, layout: Layout) -> tuple[str, str] | None:
    """What is wrong with the number of columns, if it is, and which column is the first too few."""
    line = text.rstrip(b"\n").decode("utf-8", errors="backslashreplace")
    count = len(line.split(layout.separator))
    if count == layout.width:
        return None
    expected, shown = width_fault(line, layout)
    if count < layout.width and shown == str(count):
        shown += f": none as {list(layout.columns)[count]}"
    return expected, shown + ("" if text.endswith(b"\n") else CUT)


def _cell_fault(text: bytes, layout: Layout) -> tuple[str, str]:
    """The first cell that is not what its column says; of a line that has all columns."""
    cells = text.rstrip(b"\n").split(layout.separator.encode())
    for cell, (name, kind) in zip(cells, layout.columns.items(), strict=True):
        if not re.fullmatch(kind.pattern, cell) and (cell or not kind.optional):
            word = kind.optional and cell.strip(b" \"'").lower() in MISSING
            return kind.rule(name), _shown(cell) + ("; leave a missing value empty" if word else "")
        if cell.translate(None, layout.characters):
            return f"{kind.what} in plain ASCII, without quotes or spaces, as {name}", _shown(cell)
    return "a line feed at the end of the last line", "none; the file may be cut off"


def _shown(text: bytes) -> str:
    """Bytes for a message: at most 80 of them, whatever they are."""
    return repr(text[:80].decode("utf-8", errors="backslashreplace"))
