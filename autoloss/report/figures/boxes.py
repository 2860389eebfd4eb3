"""Boxes with text in them and arrows between them, as the rows of a figure's CSV.

All lengths are inches on the page, and the origin is the lower left corner.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache

import matplotlib as mpl
import pandas as pd
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from autoloss.report.figures.style import published_style

Point = tuple[float, float]
TITLE_SIZE, SMALL_SIZE = 7.0, 6.0  # points; a box's first line, and its others
LEADING = 1.3  # of lines, in their sizes
PAD_X, PAD_Y, MARGIN = 0.06, 0.045, 0.08


@dataclass
class Row:
    """A box (centre, size, lines of text) or an arrow (`path`, from `source` to `target`)."""

    kind: str
    panel: str
    id: str
    role: str
    text: str = ""
    method: str = ""
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    source: str = ""
    target: str = ""
    path: str = ""
    holds: str = ""

    @property
    def left(self) -> float:
        """Of a box, as are the next three."""
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        """Its right edge."""
        return self.x + self.width / 2

    @property
    def bottom(self) -> float:
        """Its lower edge."""
        return self.y - self.height / 2

    @property
    def top(self) -> float:
        """Its upper edge."""
        return self.y + self.height / 2


def box(panel: str, name: str, role: str, lines: Sequence[str], *, method: str = "") -> Row:
    """A box as large as its lines need, in the corner."""
    sizes = [SMALL_SIZE if k else TITLE_SIZE for k in range(len(lines))]
    width = max(map(_width, lines, sizes)) + 2 * PAD_X
    height = LEADING * sum(sizes) / 72 + 2 * PAD_Y
    text = "\n".join(lines)
    return Row("box", panel, name, role, text, method, width / 2, height / 2, width, height)


def frame(around: Sequence[Row], name: str, lines: Sequence[str], *, method: str = "") -> Row:
    """A frame around boxes, its lines above them."""
    found = box(around[0].panel, name, "frame", lines, method=method)
    left, right = min(b.left for b in around) - MARGIN, max(b.right for b in around) + MARGIN
    bottom, top = min(b.bottom for b in around) - MARGIN, max(b.top for b in around)
    found.width = max(found.width, right - left)
    found.height += top - bottom
    found.x, found.y = (left + right) / 2, bottom + found.height / 2
    return found


def arrow(source: Row, target: Row, path: Sequence[Point], role: str = "flow") -> Row:
    """An arrow along the points of `path`."""
    text = "; ".join(f"{x:.3f} {y:.3f}" for x, y in path)
    name = f"{source.id} > {target.id}"
    found = Row("arrow", source.panel, name, role, method=target.method, path=text)
    found.source, found.target = source.id, target.id
    return found


def up(source: Row, target: Row, role: str = "flow") -> Row:
    """An arrow straight up or down, in the middle of the narrower box."""
    x = min(source, target, key=lambda b: b.width).x
    ends = (source.top, target.bottom) if source.y < target.y else (source.bottom, target.top)
    return arrow(source, target, [(x, y) for y in ends], role)


def across(source: Row, target: Row, role: str = "flow") -> Row:
    """An arrow straight to the right, in the middle of the lower box."""
    y = min(source, target, key=lambda b: b.height).y
    return arrow(source, target, [(source.right, y), (target.left, y)], role)


def stack(boxes: Sequence[Row], x: float, bottom: float, gap: float) -> None:
    """Place boxes in a column, upwards."""
    for row in boxes:
        row.x, row.y = x, bottom + row.height / 2
        bottom = row.top + gap


def line_up(boxes: Sequence[Row], left: float, y: float, gap: float) -> None:
    """Place boxes in a row, rightwards."""
    for row in boxes:
        row.x, row.y = left + row.width / 2, y
        left = row.right + gap


def move(boxes: Iterable[Row], dx: float, dy: float) -> None:
    """Move boxes together."""
    for row in boxes:
        row.x, row.y = row.x + dx, row.y + dy


def table(rows: Iterable[Row]) -> pd.DataFrame:
    """The rows of the CSV."""
    names = [f.name for f in fields(Row)]
    return pd.DataFrame([asdict(row) for row in rows], columns=names).round(3)


@cache
def _width(text: str, size: float) -> float:
    """Inches that the text takes; $...$ is mathematics."""
    if not text.strip():
        return 0.0
    with published_style(), mpl.rc_context({"text.parse_math": True}):
        path = TextPath((0, 0), text, prop=FontProperties(family="DejaVu Sans", size=size))
    return float(path.get_extents().xmax) / 72
