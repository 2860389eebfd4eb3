"""A table on disk that is written some rows at a time and read a column at a time.

Rows are in random order in the arrays (the split is a permutation), and a column is small where
the table is not: 183 MB of Criteo's 7 GB. So a column is put in order and encoded in memory.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from autoloss.errors import DataError

BLOCK_ROWS = 1 << 17  # rows put together at a time, when columns become rows again


class ColumnStore:
    """A table in `folder`, which exists and is empty."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.rows = folder, 0
        self._files: list[Path] = []

    def append(self, frame: pl.DataFrame) -> None:
        """Write more rows: of the same columns and types as those before."""
        file = self.folder / f"{len(self._files)}.arrow"
        frame.write_ipc(file, compression="uncompressed")
        self._files.append(file)
        self.rows += frame.height

    def column(self, name: str) -> pl.Series:
        """A column of all rows, in memory."""
        if not self._files:
            raise DataError(f"column '{name}'", "there are no rows", "check the raw files")
        return pl.scan_ipc(self._files, glob=False).select(name).collect().to_series()

    def clear(self) -> None:
        """Delete the table; other files in its folder stay."""
        for file in self._files:
            file.unlink()
        self._files = []


class IdColumns:
    """Encoded columns in `folder`, written in any order, and their rows in the end."""

    def __init__(self, folder: Path, count: int) -> None:
        self._files = [folder / f"{k}.ids" for k in range(count)]

    def write(self, k: int, ids: npt.NDArray[np.unsignedinteger]) -> None:
        """Write the k-th column's ids, of whichever unsigned type."""
        ids.tofile(self._files[k])

    def join(self, path: Path, rows: int) -> None:
        """Write all columns as one int32 array `[rows, columns]`, some rows at a time."""
        types = [np.dtype(f"u{file.stat().st_size // rows}") for file in self._files]
        with path.open("wb") as joined:
            header = {"descr": "<i4", "fortran_order": False, "shape": (rows, len(types))}
            np.lib.format.write_array_header_1_0(joined, header)
            for start in range(0, rows, BLOCK_ROWS):
                count = min(BLOCK_ROWS, rows - start)
                block = np.empty((count, len(types)), dtype=np.int32)
                for k, (file, kind) in enumerate(zip(self._files, types, strict=True)):
                    block[:, k] = np.fromfile(file, kind, count, offset=start * kind.itemsize)
                block.tofile(joined)
