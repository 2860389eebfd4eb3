"""The random split 80/10/10 by a fixed seed (paper §3.1 names no split; docs/deviations.md)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoloss.data.registry import SPLITS, DatasetSpec, SplitSpec
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


def check_classes(
    spec: DatasetSpec,
    labels: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int64],
    sizes: dict[str, int],
) -> None:
    """A DataError unless every split has examples of every class: AUC needs them.

    `rows` are in split order.
    """
    file = f"configs/datasets/{spec.name}.yaml"
    parts = np.split(labels[rows], np.cumsum(list(sizes.values()))[:-1])
    where = {"all rows": labels, **{f"split '{k}'": p for k, p in zip(sizes, parts, strict=True)}}
    for name, part in where.items():
        counts = np.bincount(part, minlength=spec.task.classes)
        if counts.all():
            continue
        counted = ", ".join(f"{count} of class {c}" for c, count in enumerate(counts))
        mend = f"use more rows, or another `split` in {file}"
        if name == "all rows":
            mend = f"correct `task` in {file}, or use raw data with all its classes"
        elif len(rows) < len(labels):
            mend = f"raise `study.max_rows`, which is {len(rows)}, or use another `split` in {file}"
        problem = f"no example of class {counts.argmin()} in {name}, which has {counted}"
        raise DataError(spec.name, problem, mend)


def check_rows(rows: npt.NDArray[np.int64], raw_rows: int) -> None:
    """A DataError unless every row number is in range and in one split only."""
    if len(rows) and (rows.min() < 0 or rows.max() >= raw_rows):
        found = f"row numbers {rows.min()} to {rows.max()}"
        raise DataError("split", f"{found}, expected 0 to {raw_rows - 1}", "prepare again")
    seen = np.zeros(raw_rows, dtype=np.bool_)
    seen[rows] = True
    if repeated := len(rows) - np.count_nonzero(seen):
        raise DataError("split", f"{repeated} rows are in more than one place", "prepare again")
