"""The picture of boxes and arrows, from the rows of their CSV (see `boxes`)."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from autoloss.report.figures.boxes import LEADING, MARGIN, PAD_Y, SMALL_SIZE, TITLE_SIZE, Row
from autoloss.report.figures.style import GREY, PAGE, colour

DARK = "#404040"
# How boxes look; what has a method has its colour. A frame is behind other boxes, its text on top.
ROLES: dict[str, dict[str, Any]] = {
    "data": {"facecolor": "#ffffff", "edgecolor": GREY, "linewidth": 0.6},
    "module": {"facecolor": "#e4e4e4", "edgecolor": DARK, "linewidth": 0.8},
    "op": {"facecolor": "#ffffff", "edgecolor": DARK, "linewidth": 0.8, "linestyle": (0, (3, 1.5))},
    "step": {"facecolor": "#ffffff", "edgecolor": DARK, "linewidth": 0.8},
    "frame": {"facecolor": "#fafafa", "edgecolor": GREY, "linewidth": 0.5},
    "text": {"facecolor": "none", "edgecolor": "none"},
}
ARROWS: dict[str, Any] = {"flow": "-", "update": (0, (2.5, 1.2))}


def draw_boxes(frame: pd.DataFrame) -> Figure:
    """The picture: frames at the back, then arrows, then boxes."""
    boxes, arrows = (frame[frame["kind"] == kind] for kind in ("box", "arrow"))
    width = max(PAGE, (boxes["x"] + boxes["width"] / 2).max() + MARGIN)
    height = (boxes["y"] + boxes["height"] / 2).max() + MARGIN
    # "none" would not do: after its first file, matplotlib goes back to the style's own layout.
    layout = PlaceHolderLayoutEngine(adjust_compatible=True, colorbar_gridspec=True)
    figure = Figure(figsize=(width, height), layout=layout)
    axis = figure.add_axes((0, 0, 1, 1))
    axis.set(xlim=(0, width), ylim=(0, height))
    axis.set_axis_off()
    for row in boxes.itertuples(index=False):
        _draw_box(axis, Row(*row))
    for row in arrows.itertuples(index=False):
        _draw_arrow(axis, Row(*row))
    return figure


def _draw_box(axis: Axes, row: Row) -> None:
    look = dict(ROLES[row.role])  # a copy
    if row.method:
        look["edgecolor"] = colour(row.method)
        look["facecolor"] = _tint(colour(row.method), 0.05 if row.role == "frame" else 0.18)
    corner, order = (row.left, row.bottom), 1 if row.role == "frame" else 3
    shape = f"round,pad=0,rounding_size={0.1 if row.role == 'data' else 0.03}"
    axis.add_patch(
        FancyBboxPatch(corner, row.width, row.height, boxstyle=shape, zorder=order, **look)
    )
    y = row.top - PAD_Y
    for k, line in enumerate(row.text.split("\n")):
        size = SMALL_SIZE if k else TITLE_SIZE
        y -= LEADING * size / 72
        # On their baselines, so that lines with and without tall glyphs stand alike.
        text = axis.text(row.x, y + 0.3 * size / 72, line, size=size, zorder=order + 1, gid=row.id)
        text.set(ha="center", color=DARK if k else "black", parse_math=True)


def _draw_arrow(axis: Axes, row: Row) -> None:
    points = [tuple(map(float, point.split())) for point in row.path.split(";")]
    shade = colour(row.method) if row.method and row.role == "update" else DARK
    axis.add_patch(
        FancyArrowPatch(
            path=Path(points),
            arrowstyle="-|>,head_length=2.2,head_width=1.2",
            mutation_scale=1.4,
            linestyle=ARROWS[row.role],
            linewidth=0.8,
            color=shade,
            joinstyle="round",
            zorder=2,
        )
    )


def _tint(name: str, share: float) -> tuple[float, ...]:
    """`share` of the colour in white."""
    return tuple(1 - share * (1 - channel) for channel in to_rgb(name))
