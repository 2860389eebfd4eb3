"""Marks that several figures share: dots with intervals, and lines with bands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoloss.report.figures.style import colour, marker
from autoloss.report.frames import rows_of


def reach(row: Mapping[str, float]) -> list[list[float]]:
    """An interval as matplotlib's error bars take it: how far below and above the mean."""
    return [[row["mean"] - row["low"]], [row["high"] - row["mean"]]]


def dots(axis: Axes, rows: pd.DataFrame) -> None:
    """One method per line, the first on top: its `mean` with the interval `low` to `high`."""
    for place, row in enumerate(rows_of(rows)):
        axis.errorbar(
            row["mean"],
            place,
            xerr=reach(row),
            color=colour(row["method"]),
            marker=marker(row["method"]),
            capsize=2,
            elinewidth=0.9,
        )
    axis.set_yticks(range(len(rows)), list(rows["label"]))
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.locator_params(axis="x", nbins=4)
    axis.grid(axis="y", visible=False)


def band(axis: Axes, rows: pd.DataFrame, x: str, method: str, label: str) -> None:
    """A line through the means over the column `x`, and their intervals as a band."""
    rows = rows.sort_values(x)
    style: dict[str, Any] = {"color": colour(method), "marker": marker(method), "ms": 2.5}
    axis.plot(rows[x], rows["mean"], label=label, **style)
    axis.fill_between(
        rows[x], rows["low"], rows["high"], color=colour(method), alpha=0.2, linewidth=0
    )


def legend_below(figure: Figure, axis: Axes) -> None:
    """One legend for all panels, under them, from the entries of `axis`."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=max(len(labels), 1))
