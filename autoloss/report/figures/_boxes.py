"""Boxes with text in them and arrows between them: the rows of a CSV, and the picture they give."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.layout_engine import PlaceHolderLayoutEngine
from matplotlib.patches import FancyBboxPatch

from autoloss.report.figures._style import GREY, colour
from autoloss.report.frames import rows_of

Row = dict[str, Any]  # of the CSV: a box or an arrow
DARK, SIZE = "#404040", 6.0  # points
# Of a figure whose axes stay where they are put. "none" would not do: after its first file,
# matplotlib goes back to the style's own layout.
STILL = PlaceHolderLayoutEngine(adjust_compatible=True, colorbar_gridspec=True)
# How boxes look; what has a method has its colour.
ROLES: dict[str, dict[str, Any]] = {
    "data": {"facecolor": "#ffffff", "edgecolor": GREY, "linewidth": 0.6},
    "module": {"facecolor": "#e4e4e4", "edgecolor": DARK, "linewidth": 0.8},
    "op": {"facecolor": "#ffffff", "edgecolor": DARK, "linewidth": 0.8, "linestyle": "--"},
    "step": {"facecolor": "#ffffff", "edgecolor": DARK, "linewidth": 0.8},
    "frame": {"facecolor": "#fafafa", "edgecolor": GREY, "linewidth": 0.5},
}
# How an arrow goes, and where on its boxes it starts and ends (shares of their sizes).
WAYS: dict[str, tuple[str, tuple[float, float], tuple[float, float]]] = {
    "up": ("arc3", (0.5, 1), (0.5, 0)),
    "down": ("arc3", (0.5, 0), (0.5, 1)),
    "right": ("arc3", (1, 0.5), (0, 0.5)),
    "around": ("arc3,rad=0.6", (1, 0.5), (1, 0.5)),
    "up then right": ("angle,angleA=90,angleB=0", (0.5, 1), (0, 0.5)),
    "right then up": ("angle,angleA=0,angleB=90", (1, 0.5), (0.5, 0)),
    "up then left": ("angle,angleA=90,angleB=0", (0.5, 1), (1, 0.5)),
}


COLUMNS = (
    *("kind", "panel", "id", "role", "text", "method", "x", "y", "width", "height"),
    *("source", "target", "path", "start", "end", "holds"),
)


def box(panel: str, name: str, role: str, text: str, x: float, y: float, **more: Any) -> Row:
    """A box at its centre, as large as its text unless it has `width` and `height`."""
    return {
        "kind": "box",
        "panel": panel,
        "id": name,
        "role": role,
        "text": text,
        "x": x,
        "y": y,
    } | more


def arrow(panel: str, source: str, target: str, way: str, role: str = "flow", **more: Any) -> Row:
    """An arrow between the boxes of these ids, by one of `WAYS`.

    `start` and `end` move its ends along the boxes' edges, as shares of their widths.
    """
    name = f"{source} > {target}"
    about = {"kind": "arrow", "panel": panel, "id": name, "role": role, "path": way}
    return about | {"source": source, "target": target} | more


def table(rows: Iterable[Row]) -> pd.DataFrame:
    """The rows of the CSV."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS))


def draw_boxes(axis: Axes, frame: pd.DataFrame) -> None:
    """Draw a panel's boxes, then its arrows."""
    axis.set_axis_off()
    boxes: dict[str, Artist] = {}
    for row in rows_of(frame):
        if row["kind"] == "box":
            boxes[row["id"]] = _draw_box(axis, row)
        else:
            _draw_arrow(axis, row, boxes[row["source"]], boxes[row["target"]])


def _draw_box(axis: Axes, row: Row) -> Artist:
    look = dict(ROLES[row["role"]])  # a copy
    if row["method"]:
        look |= {"edgecolor": colour(row["method"]), "facecolor": "#ffffff"}
    style = {"ha": "center", "size": SIZE, "gid": row["id"], "parse_math": True}
    x, y, width, height = (row[key] for key in ("x", "y", "width", "height"))
    if pd.isna(width):
        text = axis.text(x, y, row["text"], va="center", **style)
        text.set_bbox({"boxstyle": "round,pad=0.4,rounding_size=0.2", **look})
        patch = text.get_bbox_patch()
        assert patch is not None
        return patch
    corner = x - width / 2, y - height / 2
    axis.text(x, y + height / 2 - 0.04, row["text"], va="top", **style)
    return axis.add_patch(FancyBboxPatch(corner, width, height, boxstyle="round,pad=0", **look))


def _draw_arrow(axis: Axes, row: Row, source: Artist, target: Artist) -> None:
    way, start, end = WAYS[row["path"]]
    update = row["role"] == "update"
    axis.annotate(
        "",
        xy=end if pd.isna(row["end"]) else (row["end"], end[1]),
        xycoords=target,
        xytext=start if pd.isna(row["start"]) else (row["start"], start[1]),
        textcoords=source,
        arrowprops={
            "arrowstyle": "-|>,head_length=0.25,head_width=0.14",
            "connectionstyle": way,
            "linestyle": "--" if update else "-",
            "color": colour(row["method"]) if update and row["method"] else DARK,
            "linewidth": 0.8,
            "shrinkA": 0,
            "shrinkB": 0,
        },
    )
