"""Frames read back from the project's CSVs, and their rows and parts as plain Python.

Typed loosely: column names are strings.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from autoloss.study.cell import Cell

# Columns of names and words. A method may be called `null` or `nan`, a data set `007` or `1e5`.
TEXTS = (
    *("dataset", "model", "method", "ours", "other", "metric", "verdict", "status"),
    *("run_id", "digest", "code", "data_hash", "mark", "stands_for", "class_shares"),
    *("label", "reading", "choice", "candidate", "quantity", "part", "claim", "family"),
    *("kind", "panel", "id", "role", "text", "source", "target", "path", "holds"),
    *("point", "what", "where", "prediction", "expected", "outcome", "as_a_whole", "design"),
)


def read_csv(source: Path | StringIO) -> pd.DataFrame:
    """A CSV of this project: words stay words, and nothing but an empty field is missing.

    In a column of words an empty field is the empty word. Numbers are those that were written.
    """
    frame = pd.read_csv(
        source,
        dtype=dict.fromkeys(TEXTS, str),
        keep_default_na=False,
        na_values=[""],
    )
    words = [name for name in TEXTS if name in frame]
    return frame.fillna(dict.fromkeys(words, ""))


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, each by column name."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def cell_of(row: Mapping[str, Any]) -> Cell:
    """The cell that a row is of."""
    return Cell(str(row["dataset"]), str(row["model"]), str(row["method"]))


def parts_of(frame: pd.DataFrame, *keys: str) -> list[tuple[Any, pd.DataFrame]]:
    """The frame by the values of `keys` (one value, or a tuple), in order of appearance."""
    return list(frame.groupby(keys[0] if len(keys) == 1 else list(keys), sort=False))
