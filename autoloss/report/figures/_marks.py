"""Marks that several figures share: dots with intervals, small multiples of lines."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.markers import CARETLEFT, CARETRIGHT
from pandas.api.types import is_integer_dtype

from autoloss.report.figures._style import (
    colour,
    is_narrow,
    lines,
    note_size,
    page_width,
    per_line,
    points,
)
from autoloss.report.frames import parts_of, rows_of

FARTHEST = 5.0  # times the median distance
FEWEST = 5  # means: of fewer none is an outlier, as none is typical of the others
NARROWEST = 1.1  # inches, of a panel


def reach(row: Mapping[str, float]) -> list[list[float]]:
    """An interval as matplotlib's error bars take it: how far below and above the mean."""
    return [[row["mean"] - row["low"]], [row["high"] - row["mean"]]]


def limits(rows: pd.DataFrame, middle: float | None = None) -> tuple[float, float]:
    """Where an axis ends that shows `mean` with `low` and `high`: with the last that is no outlier.

    An outlier is more than five times as far from the median as the median value is, which one half
    of the values cannot shift: so what is typical takes no less than a fifth of the axis. Of fewer
    than five means none is one, and the axis has all of them with their intervals. With `middle`
    the distances are from there, and it is on the axis.
    """
    ends = rows.reindex(columns=["mean", "low", "high"]).to_numpy(dtype=float)
    if not len(ends):
        return 0.0, 1.0
    centre = float(np.nanmedian(ends)) if middle is None else middle
    few = np.isfinite(ends[:, 0]).sum() < FEWEST
    farthest = np.inf if few else FARTHEST * np.nanmedian(np.abs(ends - centre)) or np.inf
    inside = ends[np.abs(ends[:, 0] - centre) <= farthest] - centre
    shown = [*inside[~np.isnan(inside)].clip(-farthest, farthest), *([] if middle is None else [0])]
    low, high = centre + min(shown), centre + max(shown)
    margin = 0.05 * (high - low) or 1e-6
    return low - margin, high + margin


def dots(
    axis: Axes, rows: pd.DataFrame, labels: Sequence[Hashable], middle: float | None = None
) -> None:
    """A line per label, the first on top: its row's `mean` with the interval `low` to `high`.

    The axis has the `limits` of the rows; a mean beyond is written at its edge, an interval that
    goes on beyond has an arrow there.
    """
    low, high = limits(rows, middle)
    for row in rows_of(rows[rows["mean"].between(low, high)]):
        place, style = labels.index(row["label"]), points(row["method"])
        axis.errorbar(row["mean"], place, xerr=reach(row), capsize=1.5, elinewidth=0.9, **style)
        shade = colour(row["method"])
        for end, marker in ((low, CARETLEFT), (high, CARETRIGHT)):
            if row["low"] < end < row["high"]:
                axis.plot(end, place, marker=marker, ms=3, color=shade, clip_on=False, zorder=3)
    for row in rows_of(rows[(rows["mean"] < low) | (rows["mean"] > high)]):
        place, shade = labels.index(row["label"]), colour(row["method"])
        write_at_edge(axis, row, place, low, high, colour=shade)
    axis.set_yticks(range(len(labels)), list(map(str, labels)))
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.set_xlim(low, high)
    axis.locator_params(axis="x", nbins=2 if is_narrow() else 3)
    axis.grid(axis="y", visible=False)


def write_at_edge(
    axis: Axes, row: Mapping[str, float], place: float, low: float, high: float, colour: str
) -> None:
    """A mean beyond an axis from `low` to `high`: at its edge with an arrow and its interval.

    In a narrow figure without the interval, which is in the CSV.
    """
    text = f"{row['mean']:.2g} [{row['low']:.2g}, {row['high']:.2g}]".replace("-", "−")
    text = text.partition(" [" if is_narrow() else " [nan")[0]  # of one run there is no interval
    below = row["mean"] < low
    text, x, side = (f" ← {text}", low, "left") if below else (f"{text} → ", high, "right")
    axis.text(x, place, text, ha=side, va="center", color=colour, fontsize=note_size())


def multiples(
    frame: pd.DataFrame,
    x: str,
    y: str = "mean",
    *,
    by: str,
    height: float,
    step: str | None = None,
    limited: Collection[str] = (),
    **share: Any,
) -> Figure:
    """A panel per `row` and `column` of the frame, under its `title`: lines through `y` over `x`.

    A line per value of `by`, with its `label`; where there are `low` and `high`, they are a band.
    Columns that a figure is too narrow for stand below the others; an axis' label is its `row`.

    Args:
        height: of a row, in inches.
        step: whole numbers along a line, `x` if left out; it is broken where one is missing.
        limited: the rows with `limits`; the last value of a line beyond is written at the edge.
        share: whether panels share their axes, as seaborn's `FacetGrid` takes it.
    """
    if frame.empty:
        return Figure(figsize=(page_width(), height))
    names, columns = (list(frame[key].unique()) for key in ("row", "column"))
    across = per_line(len(columns), NARROWEST)
    place, of_row = frame["column"].map(columns.index), frame["row"].map(names.index)
    frame = frame.assign(down=place // across * len(names) + of_row, across=place % across)
    aspect = page_width() / height / across
    with mpl.rc_context({"figure.constrained_layout.use": False}):  # seaborn has a layout first
        grid = sns.FacetGrid(
            frame, row="down", col="across", height=height, aspect=aspect, despine=False, **share
        )
    plt.close(grid.figure)  # pyplot keeps it otherwise
    for (row, column, _), rows in grid.facet_data():
        axis, name = grid.axes[row, column], names[grid.row_names[row] % len(names)]
        axis.set_visible(len(rows) > 0)
        axis.set_label(name)
        axis.set_title(next(iter(rows["title"]), ""))
        axis.locator_params(axis="x", integer=is_integer_dtype(frame[x]))
        for method, line in parts_of(rows, by):
            _line(axis, line.sort_values(step or x), x, y, step or x, method)
        if name in limited and len(rows):
            _limit(axis, rows.sort_values(step or x), by)
    return _labelled(grid, x, height)


def _labelled(grid: sns.FacetGrid, x: str, height: float) -> Figure:
    """The figure of a grid, with its rows' names, `x` below, and a legend of all lines."""
    for axis in grid.axes[:, 0]:
        axis.set_ylabel(axis.get_label())
    for column in grid.axes.T:
        lowest = [axis for axis in column if axis.get_visible()][-1]
        lowest.set_xlabel(x)
        lowest.tick_params(labelbottom=True)
    parts = [axis.get_legend_handles_labels() for axis in grid.axes.flat]
    handles = {label: handle for part in parts for handle, label in zip(*part, strict=True)}
    figure: Figure = grid.figure
    size = FontProperties(size=mpl.rcParams["legend.fontsize"]).get_size_in_points() / 72
    across = per_line(len(handles), size * (0.55 * max(map(len, handles)) + 4.5))
    figure.legend([*handles.values()], [*handles], loc="outside lower center", ncols=across)
    figure.set_layout_engine("constrained")
    below = 0.2 + 2.2 * size * -(-len(handles) // across)
    figure.set_size_inches(page_width(), grid.axes.shape[0] * height + below)
    return figure


def _line(axis: Axes, rows: pd.DataFrame, x: str, y: str, step: str, name: str) -> None:
    """Through the rows in order, broken where a step is missing; of a step alone its interval."""
    style = {**lines(name), "ms": 0.625 * mpl.rcParams["lines.markersize"]}
    label = rows["label"].iloc[0]
    pieces = (rows[step].diff() > 1).cumsum()
    for k, piece in rows.groupby(pieces):
        axis.plot(piece[x], piece[y], label=label if k == 0 else None, **style)
        if "low" not in piece:
            continue
        if len(piece) == 1:
            axis.vlines(piece[x], piece["low"], piece["high"], color=style["color"], linewidth=0.8)
        band = {"color": style["color"], "alpha": 0.12, "linewidth": 0}
        axis.fill_between(piece[x], piece["low"], piece["high"], **band)


def _limit(axis: Axes, rows: pd.DataFrame, by: str) -> None:
    """Limit the y axis to what is no outlier; name the lines that end beyond, and where they do."""
    low, high = limits(rows)
    axis.set_ylim(low, high)
    ends = rows.groupby(by, sort=False).tail(1).sort_values("mean")
    _name_at_edge(axis, ends[ends["mean"] < low], by, edge=0, arrow="↓", inwards=1)
    _name_at_edge(axis, ends[ends["mean"] > high][::-1], by, edge=1, arrow="↑", inwards=-1)


def _name_at_edge(
    axis: Axes, lines: pd.DataFrame, by: str, *, edge: int, arrow: str, inwards: int
) -> None:
    """Name lines one over another, from an axis' lower (0) or upper (1) edge inwards."""
    for k, row in enumerate(rows_of(lines)):
        axis.annotate(
            f"{arrow} {row['label']} {row['mean']:.3f}",
            (1, edge),
            xycoords="axes fraction",
            xytext=(-1, inwards * (1 + (note_size() + 1) * k)),
            textcoords="offset points",
            ha="right",
            va="top" if edge else "bottom",
            color=colour(row[by]),
            fontsize=note_size(),
        )
