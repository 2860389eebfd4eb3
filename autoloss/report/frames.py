"""A frame's rows and parts as plain Python, typed loosely: column names are strings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from autoloss.study import Cell


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows, each by column name."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]


def cell_of(row: Mapping[str, Any]) -> Cell:
    """The cell that a row is of."""
    return Cell(str(row["dataset"]), str(row["model"]), str(row["method"]))


def parts_of(frame: pd.DataFrame, *keys: str) -> list[tuple[Any, pd.DataFrame]]:
    """The frame by the values of `keys` (one value, or a tuple), in order of appearance."""
    return list(frame.groupby(keys[0] if len(keys) == 1 else list(keys), sort=False))
