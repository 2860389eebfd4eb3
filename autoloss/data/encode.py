"""From raw values to field-local ids, and from raw labels to classes (paper §3.1).

Id 0 of every field stands for all values that are rare in training or absent from it, as
pytorch-fm does for Criteo; a missing value is a value of its own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from autoloss.data.manifest import FieldStats
from autoloss.data.registry import FieldSpec, TaskSpec
from autoloss.errors import DataError

NULL = "NULL"


@dataclass(frozen=True)
class Encoded:
    """One field: an id per row and what the manifest says about it."""

    ids: npt.NDArray[np.int32]
    stats: FieldStats


def bucket(value: str) -> str:
    """Criteo's rule for a whole number v: ⌊(ln v)²⌋ if v > 2, else v − 2, as in pytorch-fm."""
    v = int(value)
    return str(math.floor(math.log(v) ** 2)) if v > 2 else str(v - 2)


def encode_field(raw: pl.Series, field: FieldSpec, train: int) -> Encoded:
    """Ids of `raw`, whose first `train` rows are the training split, the only ones counted."""
    values = _values(raw, field)
    counts = values.head(train).value_counts(name="count")
    kept = counts.filter(pl.col("count") >= field.min_count).sort(
        ["count", values.name], descending=[True, False]
    )[values.name]
    known = pl.DataFrame(
        {"value": kept, "id": np.arange(1, len(kept) + 1, dtype=np.int32)},
        schema={"value": pl.String, "id": pl.Int32},
    )
    ids = (
        pl.DataFrame({"value": values})
        .join(known, on="value", how="left", maintain_order="left")["id"]
        .fill_null(0)
    )
    stats = FieldStats(
        name=field.name,
        kind=field.kind,
        size=len(kept) + 1,
        distinct=raw.n_unique(),
        min_count=field.min_count,
        folded=values.n_unique() - len(kept),
    )
    return Encoded(ids.to_numpy().astype(np.int32, copy=False), stats)


def encode_labels(raw: pl.Series, spec: TaskSpec) -> npt.NDArray[np.int32]:
    """The class of every row; a DataError if one is missing or outside 0 .. classes-1."""
    if raw.null_count() or not raw.dtype.is_integer():
        found = f"{raw.dtype} with {raw.null_count()} missing"
        problem = f"expected whole numbers as labels, none missing; found {found}"
        raise DataError(f"column '{raw.name}'", problem, "correct the parser of the source")
    values = raw.to_numpy().astype(np.int64)
    value = spec.rule.value
    classes = values - value if spec.rule.kind == "subtract" else values >= value
    wrong = np.flatnonzero((classes < 0) | (classes >= spec.classes))
    if wrong.size:
        raise DataError(
            f"column '{raw.name}'",
            f"label {values[wrong[0]]} gives class {classes[wrong[0]]}, "
            f"expected a class of 0 to {spec.classes - 1}",
            "correct `classes` or `rule` of the data set, or the raw data",
        )
    return classes.astype(np.int32)


def _values(raw: pl.Series, field: FieldSpec) -> pl.Series:
    """Values as text; numbers by their bucket, each distinct number worked out once."""
    if field.kind == "categorical":
        return raw.cast(pl.String).fill_null(NULL)
    texts = raw.cast(pl.String)
    distinct = texts.unique().drop_nulls().to_list()
    buckets = [_bucket(text, field) for text in distinct]
    return texts.replace_strict(distinct, buckets, default=NULL, return_dtype=pl.String)


def _bucket(text: str, field: FieldSpec) -> str:
    try:
        return bucket(text)
    except ValueError:
        raise DataError(
            f"column '{field.name}'",
            f"expected whole numbers, found {text!r}",
            "declare the field categorical, or round it in the parser of the source",
        ) from None
