"""Beyond the paper: where loss search pays, a map of gains over cross-entropy."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoloss.metrics import METRICS
from autoloss.report.figures._marks import limits
from autoloss.report.figures._source import Source
from autoloss.report.figures._style import GREY, lines, note_size, page_width, per_line
from autoloss.report.frames import parts_of, rows_of
from autoloss.report.regimes import NOWHERE, map_frame

TITLE = "Where loss search pays"
CAPTION = (
    "What methods gain over cross-entropy in test AUC on generated clicks with a planted region. "
    "Above: by share and place of the labels that are flipped (in training, or in validation too), "
    "in thousandths; a point is a gain or a loss by both tests, Holm-corrected over the method's "
    "points. Below: mean of the differences between runs of the same seed, over {seeds}, with its "
    "{interval}; by rows with a fifth of the region flipped; a line that leaves an axis is in the "
    "CSV."
)
GROUPS = ("regimes",)
ORDER = 11
IN_ALL = False
SHOWN = "auc"
PLACES = {
    ("region", 1): "region",
    ("everywhere", 1): "everywhere",
    ("region", 2): "region, validation too",
    ("everywhere", 2): "everywhere, validation too",
}
LEAST = 4  # points of noise at which a method stands in the map
# What a panel below is about: its axis, and which points it shows.
PANELS = {
    "% flipped, region": "share",
    "% flipped, everywhere": "share",
    "% positives": "positives",
    "rows": "rows",
}


def data(source: Source) -> pd.DataFrame:
    """Per point, method and metric the gain over cross-entropy, with its interval."""
    frame = map_frame(source.study, source.index())
    return frame.drop(columns=["p", "p_t"])


def draw(frame: pd.DataFrame) -> Figure:
    """A heat map for each method, then lines by share of noise, of positives, and by rows."""
    generated = frame["data"].iloc[0] if len(frame) else ""
    gains = frame[(frame["metric"] == SHOWN) & (frame["data"] == generated)]
    gains = gains.assign(usual=_usual(gains))
    noisy = gains[gains["where"] != NOWHERE]
    mapped = [m for m, rows in parts_of(noisy, "method") if len(rows) >= LEAST]
    across = per_line(len(mapped), 1.6)
    down = -(-len(mapped) // across)
    heights = [1.35 * max(down, 1), 2.3]
    figure = Figure(figsize=(page_width(), sum(heights)))
    above, below = figure.subfigures(2, 1, squeeze=False, height_ratios=heights)[:, 0]
    means = gains["mean"].abs().dropna()
    extent = float(means.quantile(0.9)) if len(means) else 1.0
    axes = list(above.subplots(max(down, 1), max(across, 1), squeeze=False).flat)
    for axis in axes[len(mapped) :]:
        axis.set_axis_off()
    shares = sorted(noisy.loc[noisy["usual"], "share"].unique())
    for axis, method in zip(axes, mapped, strict=False):
        _heat(axis, gains[gains["method"] == method], shares, extent)
        axis.tick_params(labelleft=axis.get_subplotspec().is_first_col())
    panels = list(below.subplots(1, len(PANELS)))
    for axis, (title, x) in zip(panels, PANELS.items(), strict=True):
        _curves(axis, _of_panel(gains[gains["method"].isin(mapped)], title), x, title)
    panels[0].set_ylabel(f"gain over CE, {METRICS[SHOWN].label}")
    handles, labels = panels[0].get_legend_handles_labels()
    if labels:
        below.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _heat(axis: Axes, rows: pd.DataFrame, shares: list[float], extent: float) -> None:
    """A method's gains by share (across) and place (down), each written in its square."""
    values = np.full((len(PLACES), len(shares)), np.nan)
    for k, place in enumerate(PLACES):
        for row in rows_of(rows[_at(rows, *place)]):
            column = shares.index(row["share"])
            values[k, column] = row["mean"]
            text = "" if pd.isna(row["mean"]) else f"{1e3 * row['mean']:+.1f}".replace("-", "−")
            mark = "•" if row["significant"] else ""
            shade, size = "white" if abs(row["mean"]) > 0.7 * extent else "black", note_size() - 1
            axis.text(column, k, text + mark, ha="center", va="center", fontsize=size, color=shade)
    axis.imshow(values, cmap="RdBu", vmin=-extent, vmax=extent, aspect="auto")
    axis.set_xticks(range(len(shares)), [f"{share:.0%}" for share in shares])
    axis.set_yticks(range(len(PLACES)), PLACES.values())
    axis.set_title(rows["label"].iloc[0])
    axis.grid(visible=False)


def _at(rows: pd.DataFrame, where: str, parts: int) -> pd.Series[bool]:
    return rows["usual"] & rows["where"].eq(where) & rows["parts"].eq(parts)


def _usual(rows: pd.DataFrame) -> pd.Series[bool]:
    """The points with as many rows as most, and the base's share of positives."""
    counts = rows["rows"].fillna(0)
    return counts.isin(counts.mode()[:1]) & rows["positives"].isna()


def _of_panel(rows: pd.DataFrame, title: str) -> pd.DataFrame:
    if rows.empty:
        return rows
    clean = (rows["where"] == NOWHERE) & rows["usual"]
    if title.startswith("% flipped"):
        where = "region" if title.endswith("region") else "everywhere"
        return rows[clean | _at(rows, where, 1)]
    if title == "% positives":
        return rows[rows["positives"].notna()]
    return rows[(rows["where"] == "region") & (rows["share"] == 0.2) & (rows["parts"] == 1)]


def _curves(axis: Axes, rows: pd.DataFrame, x: str, title: str) -> None:
    axis.axhline(0, color=GREY, linewidth=0.8)
    for method, line in parts_of(rows, "method"):
        ordered = line.dropna(subset=[x, "mean"]).sort_values(x)
        style = lines(method)
        axis.plot(ordered[x], ordered["mean"], label=line["label"].iloc[0], **style)
        band = {"color": style["color"], "alpha": 0.12, "linewidth": 0}
        axis.fill_between(ordered[x], ordered["low"], ordered["high"], **band)
    axis.set_title(title)
    if len(rows):
        places = sorted(rows[x].dropna().unique())
        if x != "share":
            axis.set_xscale("log")
        axis.set_xticks(places, [_place(place) for place in places], minor=False)
        axis.set_xticks([], minor=True)
        axis.set_ylim(*limits(rows, 0))


def _place(value: float) -> str:
    """A share in percent, or thousands of rows, as an axis has it."""
    return f"{100 * value:.0f}" if value < 1 else f"{value / 1000:.0f}k"
