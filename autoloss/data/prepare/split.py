"""Splits: random ones, numbered (paper §3.1 names none; docs/deviations.md), or as rows say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from autoloss.data.specs import SPLITS, DatasetSpec, Split, SplitSpec
from autoloss.errors import DataError


def split_rows(
    rows: int,
    spec: Split,
    number: int,
    max_rows: int | None = None,
    parts: npt.NDArray[np.uint8] | None = None,
) -> tuple[npt.NDArray[np.int64], dict[str, int]]:
    """Row numbers, training first, then validation, then test, and how many of each there are.

    Split `number` depends on the description's seed and on its number, not on what other splits
    there are. With `max_rows` all splits are of the same random sample of that size. Rows of a part
    are in random order, also where the part of each row is given (`parts`, `[rows]`, 0 to 2).

    Raises:
        DataError: a part is empty.
    """
    kept = rows if max_rows is None else min(max(max_rows, 0), rows)
    own = np.random.SeedSequence(spec.seed, spawn_key=(number,))
    order = np.random.default_rng(own).permutation(kept).astype(np.int64, copy=False)
    if kept < rows:
        order = np.random.default_rng(spec.seed).permutation(rows)[order]
    if parts is not None:
        order = order[np.argsort(parts[order], kind="stable")]
        counts = np.bincount(parts[order], minlength=len(SPLITS)).tolist()
    else:
        assert isinstance(spec, SplitSpec)
        validation, test = round(spec.validation * len(order)), round(spec.test * len(order))
        counts = [len(order) - validation - test, validation, test]
    sizes = dict(zip(SPLITS, counts, strict=True))
    if min(sizes.values()) < 1:
        problem = f"{len(order)} rows give an empty split: {sizes}"
        raise DataError("split", problem, _mend(spec, "the data set's file"))
    return order, sizes


def _mend(spec: Split, file: str) -> str:
    """How a part of a split gets the rows that it lacks."""
    if spec.by == "random":
        return f"use more rows, or another `split.seed` in {file}"
    what = "dates for `validation` and `test`" if spec.by == "date" else "values for each part"
    return f"give other {what} in `split` of {file}, or use more rows"


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
        mend = _mend(spec.split, file)
        if name == "all rows":
            mend = f"correct `task` in {file}, or use raw data with all its classes"
        elif len(rows) < len(labels):
            mend = f"raise `study.max_rows`, which is {len(rows)}, or change `split.seed` in {file}"
        problem = f"no example of class {of_class.index(0)} in {name}, which has {counted}"
        raise DataError(spec.name, problem, mend)
    return counts
