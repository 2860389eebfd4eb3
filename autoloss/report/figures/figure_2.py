"""Figure 2: the architectures, drawn from a forward pass of the models themselves."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

import pandas as pd
from matplotlib.figure import Figure

from autoloss.registry import MODELS
from autoloss.report.figures.boxes import MARGIN, Row, arrow, box, table
from autoloss.report.figures.canvas import draw_boxes
from autoloss.report.figures.graph import Graph, Part
from autoloss.report.figures.layout import Layered
from autoloss.report.figures.source import Source
from autoloss.report.figures.style import PAGE

TITLE = "Figure 2: architectures of the deep recommenders"
CAPTION = (
    "The models as they run on the first data set's fields and task. Grey boxes are modules with "
    "their names in the code, dashed ones the operations between them, both with the shape of "
    "their output; B is the size of a batch. Read off the modules and the autograd graph of a "
    "forward pass."
)
LINE = 30  # characters of a box's small lines
APART = 0.25  # inches between panels


def data(source: Source) -> pd.DataFrame:
    """The boxes and arrows of each of the study's models, side by side."""
    from autoloss.models import build_model
    from autoloss.report.figures.trace import trace

    study = source.study
    dataset = study.dataset(study.config.study.datasets[0])
    fields = len(dataset.fields)
    panels = []
    for k, name in enumerate(study.config.study.models):
        # How many values a field has changes the tables alone, whose sizes are not shown.
        model = build_model(name, [2] * fields, dataset.task.task, study.config.model)
        title = f"({'abcdefgh'[k]}) {MODELS[name]}"
        panels.append(Panel(trace(model, fields), name, title))
    arrange(panels)
    return table(row for panel in panels for row in panel.rows())


class Panel:
    """One model: its boxes in their layout, above a title."""

    def __init__(self, graph: Graph, name: str, title: str) -> None:
        self.title = box(name, f"{name} title", "text", [title])
        boxes = {}
        for k, part in graph.parts.items():
            boxes[k] = box(name, f"{name} {k}", part.role, lines(part))
            boxes[k].holds = " ".join(part.holds)
        self.layout = Layered(boxes, graph.edges)
        self.width = max(self.layout.width, self.title.width)
        self.height = self.layout.height + self.title.height

    def move(self, left: float, bottom: float) -> None:
        """Put its lower left corner there."""
        self.layout.shift(left, bottom + self.title.height)
        ids = next(iter(self.layout.boxes.values()))
        self.title.x, self.title.y = ids.x, bottom + self.title.height / 2

    def rows(self) -> Iterator[Row]:
        """Its boxes and arrows."""
        boxes = self.layout.boxes
        yield from (self.title, *boxes.values())
        for (a, b), path in self.layout.paths.items():
            yield arrow(boxes[a], boxes[b], path)


def lines(part: Part) -> list[str]:
    """A box's text: its first step, the others, and names in the code with the output's shape."""
    names = "with " + ", ".join(part.holds) if part.holds else ""
    if part.role == "module":
        last = part.holds[-1].rpartition(".")[2]
        names = part.holds[0] + (f"–{last}" if len(part.holds) > 1 else "")
    end = f"{names} → {part.shape}" if names and part.shape else names + part.shape
    return [part.steps[0], *wrap(", ".join(part.steps[1:]), LINE), end]


def arrange(panels: list[Panel]) -> None:
    """Side by side, in as many rows as it takes, the first on top; space shared evenly."""
    room = PAGE - 2 * MARGIN
    rows: list[list[Panel]] = [[]]
    for panel in panels:
        if rows[-1] and sum(p.width + APART for p in rows[-1]) + panel.width > room:
            rows.append([])
        rows[-1].append(panel)
    bottom = MARGIN
    for row in reversed(rows):
        space = max(0.0, room - sum(p.width for p in row)) / len(row)
        left = MARGIN + space / 2
        for panel in row:
            panel.move(left, bottom)
            left += panel.width + space
        bottom += max(p.height for p in row) + APART


def draw(frame: pd.DataFrame) -> Figure:
    """The picture that the boxes and arrows give."""
    return draw_boxes(frame)
