"""Lines of text from arrays, without a loop over rows.

A cell is a row of bytes padded with NUL; lines are cells side by side, the padding taken out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]


def numbers(values: npt.NDArray[np.int64]) -> Bytes:
    """A cell for each number, to look others up in."""
    text = values.astype("S20").view(np.uint8).reshape(len(values), 20)
    return np.ascontiguousarray(text[:, : int((text != 0).any(axis=0).sum())])


def words(values: Sequence[str]) -> Bytes:
    """A cell for each text."""
    text = np.array(values, dtype="S")
    return text.view(np.uint8).reshape(len(values), text.itemsize)


def hexadecimal(values: npt.NDArray[np.integer]) -> Bytes:
    """A cell of 8 digits for each number below 2³²."""
    digits = values.astype(">u4").tobytes().hex().encode()
    return np.frombuffer(digits, dtype=np.uint8).reshape(len(values), 8)


def lines(cells: Sequence[Bytes], separator: str) -> bytes:
    """A line for each row of `cells`."""
    widths = [cell.shape[1] + 1 for cell in cells]
    text = np.full((len(cells[0]), sum(widths)), ord(separator), dtype=np.uint8)
    for cell, end, width in zip(cells, np.cumsum(widths), widths, strict=True):
        text[:, end - width : end - 1] = cell
    text[:, -1] = ord("\n")
    return text.tobytes().translate(None, b"\0")
