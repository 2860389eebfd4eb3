"""From raw values to field-local ids, and from raw labels to classes (paper §3.1).

Id 0 of every field stands for all values that are rare in training or absent from it, as
pytorch-fm does for Criteo; a missing value is a value of its own.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import polars as pl

from autoloss.data.formats._table import hex_digits
from autoloss.data.manifest import FieldStats
from autoloss.data.specs import FieldSpec, TaskSpec
from autoloss.errors import DataError

NULL = "NULL"
ROUNDED = {"ceil": np.ceil, "floor": np.floor, "round": np.rint}


def bucket(value: str) -> str:
    """Criteo's rule for a number v, as in pytorch-fm: ⌊(ln v)²⌋ if v > 2, else ⌊v − 2⌋."""
    v = float(value)
    return str(math.floor(math.log(v) ** 2 if v > 2 else v - 2))


def encode_field(
    raw: pl.Series, field: FieldSpec, train: int
) -> tuple[npt.NDArray[np.unsignedinteger], FieldStats]:
    """Ids of `raw`, of the smallest unsigned type that holds them, and the field's statistics.

    The first `train` rows are the training split, the only ones counted.
    """
    # One pass numbers the distinct values; what follows is over these, fewer than rows.
    numbered = raw.to_arrow().dictionary_encode(null_encoding="encode")
    numbers = numbered.indices.to_numpy()
    distinct = pl.Series("value", numbered.dictionary)
    seen, later = (
        np.bincount(part, minlength=len(distinct)) for part in (numbers[:train], numbers[train:])
    )
    stands_for = _values(distinct, field, seen)
    values = pl.DataFrame({"value": stands_for, "train": seen, "all": seen + later})
    merged = values
    if stands_for is not distinct:
        merged = values.group_by("value").agg(pl.col("train", "all").sum())
    kept = merged.filter(pl.col("train") >= field.min_count)
    kept = kept.with_columns(text=texts(kept["value"])).sort(
        ["train", "text"], descending=[True, False]
    )
    known = kept.select("value", id=pl.int_range(1, pl.len() + 1, dtype=pl.Int32))
    ids = values.join(known, on="value", how="left", nulls_equal=True, maintain_order="left")["id"]
    stats = FieldStats(
        name=field.name,
        kind=field.kind,
        size=len(kept) + 1,
        distinct=len(distinct),
        min_count=field.min_count,
        folded=len(merged) - len(kept),
        size_counting_all=int((merged["all"] >= field.min_count).sum()) + 1,
    )
    id_of = ids.fill_null(0).to_numpy().astype(np.min_scalar_type(len(kept)))
    return id_of[numbers], stats


def number_values(raw: pl.Series) -> npt.NDArray[np.int32]:
    """A number for each distinct value, in order of first appearance; a missing one has its own."""
    numbered = raw.to_arrow().dictionary_encode(null_encoding="encode")
    return np.asarray(numbered.indices.to_numpy(), dtype=np.int32)


def texts(values: pl.Series) -> pl.Series:
    """Values as the text that they are in the raw file: ids of equal counts are in its order."""
    if values.dtype == pl.UInt32:  # 8 hexadecimal digits, carried as a number (`HEX`)
        texts = hex_digits(values.fill_null(0).to_numpy())
        return texts.zip_with(values.is_not_null(), pl.Series([NULL]))
    return values.cast(pl.String).fill_null(NULL)


def encode_labels(raw: pl.Series, spec: TaskSpec) -> npt.NDArray[np.int32]:
    """The class of every row; a DataError if one is missing or outside 0 .. classes-1."""
    kind, value = spec.rule.kind, spec.rule.value
    whole = kind == "subtract"
    if raw.null_count() or not (raw.dtype.is_integer() if whole else raw.dtype.is_numeric()):
        what = "whole numbers" if whole else "numbers"
        there = f"{raw.dtype} with {raw.null_count()} missing"
        problem = f"expected {what} as labels, none missing; found {there}"
        raise DataError(f"column '{raw.name}'", problem, "correct the parser of the source")
    values = raw.to_numpy()
    if kind == "at_least":
        return (values >= value).astype(np.int32)
    if not whole:
        values = np.maximum(ROUNDED[kind](values), value)
    classes = values.astype(np.int64) - value
    wrong = np.flatnonzero((classes < 0) | (classes >= spec.classes))
    if wrong.size:
        raise DataError(
            f"column '{raw.name}'",
            f"label {raw[int(wrong[0])]} gives class {classes[wrong[0]]}, "
            f"expected a class of 0 to {spec.classes - 1}",
            "correct `classes` or `rule` of the data set, or the raw data",
        )
    return classes.astype(np.int32)


def _values(raw: pl.Series, field: FieldSpec, seen: npt.NDArray[np.int64]) -> pl.Series:
    """What distinct raw values stand for: themselves; of text, null is `NULL`; their bucket.

    `seen` is how often each of them is in training.
    """
    if field.kind in ("categorical", "date"):
        return raw.fill_null(NULL) if raw.dtype == pl.String else raw  # the same object
    if field.kind == "numeric":
        buckets = [NULL if text is None else _bucket(text, field) for text in raw.cast(pl.String)]
        return pl.Series(buckets, dtype=pl.String)
    numbers = raw.cast(pl.Float64, strict=False)
    if numbers.null_count() > raw.null_count():
        text = raw.filter(numbers.is_null() & raw.is_not_null())[0]
        raise _no_number(field, "numbers", str(text))
    values = numbers.fill_null(0).to_numpy()
    trained = seen * numbers.is_not_null().to_numpy()
    edges = field.edges or quantiles(np.repeat(values, trained), field.bins or 1)
    places = pl.Series(np.searchsorted(edges, values)).cast(pl.String)  # an edge ends its bucket
    return places.set(numbers.is_null(), NULL)


def quantiles(values: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.float64]:
    """Edges between `bins` buckets with as many of `values` each; fewer where values are equal."""
    if not len(values):
        return values
    shares = np.arange(1, bins) / bins
    return np.unique(np.asarray(np.quantile(values, shares), dtype=np.float64))


def _bucket(text: str, field: FieldSpec) -> str:
    try:
        return bucket(text)
    except (ValueError, OverflowError):  # no number, or not a finite one
        raise _no_number(field, "finite numbers", text) from None


def _no_number(field: FieldSpec, expected: str, text: str) -> DataError:
    mend = "declare the field categorical, or correct the parser of the source"
    return DataError(f"column '{field.name}'", f"expected {expected}, found {text!r}", mend)
