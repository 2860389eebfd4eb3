"""Figure 1: the framework, with the numbers and names of the study's configuration."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.figure import Figure

from autoloss.report.figures.boxes import (
    MARGIN,
    Row,
    across,
    arrow,
    frame,
    line_up,
    move,
    stack,
    table,
    up,
)
from autoloss.report.figures.canvas import draw_boxes
from autoloss.report.figures.source import Source
from autoloss.report.figures.style import PAGE

if TYPE_CHECKING:
    from autoloss.report.figures.framework import Framework

TITLE = "Figure 1: the AutoLoss framework"
CAPTION = (
    "The deep recommender (DRS) and the controller, as the study's configuration has them. The "
    "controller weighs the candidate losses for each example. Dashed: the inner step trains the "
    "DRS on training batches, the outer step the controller, through a look-ahead step of the DRS."
)
GAP, CLOSE, LANE = 0.2, 0.08, 0.12  # inches: between boxes, in a frame, between arrows abreast


def data(source: Source) -> pd.DataFrame:
    """The boxes with their texts, placed, and the arrows."""
    from autoloss.report.figures.framework import Framework

    return table(Placed(Framework(source.study)).rows())


def draw(frame: pd.DataFrame) -> Figure:
    """The picture that the boxes and arrows give."""
    return draw_boxes(frame)


class Placed:
    """Between the bands of the two steps: the controller above, the DRS and the losses below."""

    def __init__(self, of: Framework) -> None:
        self.of = of
        self._place_inputs()
        self._place_rest()
        self._place_bands()

    def _place_inputs(self) -> None:
        """Upwards: the fields, the DRS, and what the losses and the controller see."""
        of = self.of
        column = [of.fields, of.drs, of.prediction, of.label]
        middle = max(b.width for b in column) / 2 + MARGIN
        stack(column[:2], middle, MARGIN + of.inner.height + GAP, GAP)
        height = max(b.height for b in (*of.layers, of.relaxation))
        both = of.label.height + CLOSE + of.prediction.height
        self.level = of.drs.top + GAP + MARGIN + max(height, both) / 2  # of the upper row
        stack(column[2:], middle, self.level - both / 2, CLOSE)
        self.seen = frame(column[2:], "seen", [r"$(y, \hat{y})$"])
        self.start = max(b.right for b in (*column, self.seen)) + 3 * LANE

    def _place_rest(self) -> None:
        """Rightwards, the controller to the relaxation; under this, upwards, the losses' sum."""
        of = self.of
        line_up(of.layers, self.start + MARGIN, self.level, CLOSE + LANE / 2)
        self.controller = frame(of.layers, "controller", of.controller, method=of.layers[0].method)
        line_up(of.losses, 0.0, 0.0, CLOSE)
        self.losses = frame(of.losses, "losses", of.candidates)
        move([*of.losses, self.losses], self.start - self.losses.left, 0.0)
        left = max(self.controller.right, self.losses.right) + GAP
        line_up([of.relaxation], left, self.level, GAP)
        line_up(of.weights, 0.0, 0.0, CLOSE)
        self.weights = frame(of.weights, "weights", ["Weights $p_i$ of an example"])
        dx, dy = of.relaxation.x - self.weights.x, of.relaxation.bottom - GAP - self.weights.top
        move([*of.weights, self.weights], dx, dy)
        level = self.weights.bottom - GAP - of.mixture.height / 2
        line_up([of.mixture, of.loss], of.relaxation.x - of.mixture.width / 2, level, GAP)
        move([*of.losses, self.losses], 0.0, level)

    def _place_bands(self) -> None:
        """The inner step at the bottom, the outer one on top, as wide as all of it."""
        of, rows = self.of, [*self._boxes()]
        self.right = max(PAGE - MARGIN, *(b.right + LANE for b in rows))
        top = max(self.seen.top, self.controller.top, of.relaxation.top) + GAP
        for band, bottom in ((of.inner, MARGIN), (of.outer, top)):
            band.width = self.right - MARGIN
            stack([band], MARGIN + band.width / 2, bottom, 0.0)

    def _boxes(self) -> Iterator[Row]:
        of = self.of
        yield from (self.seen, self.controller, self.losses, self.weights)
        yield from (of.fields, of.drs, of.prediction, of.label, *of.layers, of.relaxation)
        yield from (*of.weights, *of.losses, of.mixture, of.loss)

    def rows(self) -> Iterator[Row]:
        """All boxes, then all arrows."""
        of, layers = self.of, self.of.layers
        yield from (*self._boxes(), of.inner, of.outer)
        yield from (up(of.fields, of.drs), up(of.drs, of.prediction))
        yield from (up(of.relaxation, self.weights), up(self.weights, of.mixture))
        yield from (up(of.loss, of.inner, "update"), up(of.outer, self.controller, "update"))
        yield from (across(self.losses, of.mixture), across(of.mixture, of.loss))
        yield across(self.seen, layers[0])
        yield from (across(a, b) for a, b in pairwise([*layers, of.relaxation]))
        yield from self._detours()

    def _detours(self) -> Iterator[Row]:
        """The arrows with corners, each on a lane of its own."""
        of, seen, losses = self.of, self.seen, self.losses
        x, y, end = self.start - LANE, of.prediction.y, of.losses[0].y
        yield arrow(seen, losses, [(seen.right, y), (x, y), (x, end), (losses.left, end)])
        x, y = self.start - 2 * LANE, of.drs.y
        yield arrow(of.inner, of.drs, [(x, of.inner.top), (x, y), (of.drs.right, y)], "update")
        x, y = self.right - LANE / 2, of.loss.y
        yield arrow(of.loss, of.outer, [(of.loss.right, y), (x, y), (x, of.outer.bottom)], "update")
