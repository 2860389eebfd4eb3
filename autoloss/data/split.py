"""The random split 80/10/10 by a fixed seed (paper §3.1 names no split; docs/deviations.md)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoloss.data.registry import SPLITS, SplitSpec
from autoloss.errors import DataError


def split_rows(
    rows: int, spec: SplitSpec, max_rows: int | None = None
) -> tuple[npt.NDArray[np.int64], dict[str, int]]:
    """Row numbers, training first, then validation, then test, and the size of each split.

    With `max_rows` a random sample of that size is split in the same proportions.
    """
    order = np.random.default_rng(spec.seed).permutation(rows).astype(np.int64, copy=False)
    if max_rows is not None:
        order = order[: max(max_rows, 0)]
    validation, test = round(spec.validation * len(order)), round(spec.test * len(order))
    sizes = dict(zip(SPLITS, (len(order) - validation - test, validation, test), strict=True))
    if min(sizes.values()) < 1:
        raise DataError("split", f"{len(order)} rows give an empty split: {sizes}", "use more rows")
    return order, sizes


def check_rows(rows: npt.NDArray[np.int64], raw_rows: int) -> None:
    """A DataError unless every row number is in range and in one split only."""
    if len(rows) and (rows.min() < 0 or rows.max() >= raw_rows):
        found = f"row numbers {rows.min()} to {rows.max()}"
        raise DataError("split", f"{found}, expected 0 to {raw_rows - 1}", "prepare again")
    seen = np.zeros(raw_rows, dtype=np.bool_)
    seen[rows] = True
    if repeated := len(rows) - np.count_nonzero(seen):
        raise DataError("split", f"{repeated} rows are in more than one place", "prepare again")
