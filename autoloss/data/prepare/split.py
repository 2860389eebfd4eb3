"""Random splits 80/10/10, numbered (paper §3.1 names no split; docs/deviations.md)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoloss.data.specs import SPLITS, DatasetSpec, SplitSpec
from autoloss.errors import DataError


def split_rows(
    rows: int, spec: SplitSpec, number: int, max_rows: int | None = None
) -> tuple[npt.NDArray[np.int64], dict[str, int]]:
    """Row numbers, training first, then validation, then test, and how many of each there are.

    Split `number` depends on the description's seed and on its number, not on what other splits
    there are. With `max_rows` all splits are of the same random sample of that size.
    """
    kept = rows if max_rows is None else min(max(max_rows, 0), rows)
    own = np.random.SeedSequence(spec.seed, spawn_key=(number,))
    order = np.random.default_rng(own).permutation(kept).astype(np.int64, copy=False)
    if kept < rows:
        order = np.random.default_rng(spec.seed).permutation(rows)[order]
    validation, test = round(spec.validation * len(order)), round(spec.test * len(order))
    sizes = dict(zip(SPLITS, (len(order) - validation - test, validation, test), strict=True))
    if min(sizes.values()) < 1:
        raise DataError("split", f"{len(order)} rows give an empty split: {sizes}", "use more rows")
    return order, sizes


def count_classes(
    spec: DatasetSpec,
    labels: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int64],
    sizes: dict[str, int],
    number: int,
) -> dict[str, tuple[int, ...]]:
    """How many examples of each class the parts of split `number` have; `rows` are in its order.

    Raises:
        DataError: a part has none of a class: AUC needs them.
    """
    file, classes = f"the description of {spec.name}", spec.task.classes
    parts = np.split(labels[rows], np.cumsum(list(sizes.values()))[:-1])
    counts = {
        name: tuple(np.bincount(part, minlength=classes).tolist())
        for name, part in zip(sizes, parts, strict=True)
    }
    every = tuple(np.bincount(labels, minlength=classes).tolist())
    for name, of_class in {
        "all rows": every,
        **{f"the {k} rows of split {number}": v for k, v in counts.items()},
    }.items():
        if all(of_class):
            continue
        counted = ", ".join(f"{count} of class {c}" for c, count in enumerate(of_class))
        mend = f"use more rows, or another `split.seed` in {file}"
        if name == "all rows":
            mend = f"correct `task` in {file}, or use raw data with all its classes"
        elif len(rows) < len(labels):
            mend = f"raise `study.max_rows`, which is {len(rows)}, or change `split.seed` in {file}"
        problem = f"no example of class {of_class.index(0)} in {name}, which has {counted}"
        raise DataError(spec.name, problem, mend)
    return counts
