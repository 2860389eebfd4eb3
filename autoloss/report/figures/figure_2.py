"""Figure 2: the architectures, drawn from a forward pass of the models themselves."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING

import networkx as nx
import pandas as pd
from matplotlib.figure import Figure

from autoloss.models import MODELS
from autoloss.report.figures._boxes import STILL, Row, arrow, box, draw_boxes, table
from autoloss.report.figures._source import Source
from autoloss.report.figures._style import PAGE
from autoloss.report.frames import parts_of

if TYPE_CHECKING:
    from autoloss.report.figures._architecture import Part

TITLE = "Figure 2: architectures of the deep recommenders"
CAPTION = (
    "The models as they run on the first data set's fields and task. Grey boxes are modules with "
    "their names in the code, dashed ones the operations between them, both with the shape of "
    "their output; B is the size of a batch. Read off the modules and the autograd graph of a "
    "forward pass."
)
GROUPS = ()
ORDER = 2
LINE = 22  # characters of a box's lines
COLUMN, ROW, TITLES = 1.15, 0.52, 0.3  # inches


def data(source: Source) -> pd.DataFrame:
    """The boxes, in columns and rows, and arrows of each of the study's models."""
    from autoloss.models import build_model
    from autoloss.report.figures._architecture import trace

    study = source.study
    dataset = study.dataset(study.config.study.datasets[0])
    fields = len(dataset.fields)
    rows: list[Row] = []
    for name in study.config.study.models:
        # How many values a field has changes the tables alone, whose sizes are not shown.
        model = build_model(name, [2] * fields, dataset.task.task, study.config.model)
        rows += _panel(name, trace(model, fields))
    return table(rows)


def _panel(name: str, graph: nx.DiGraph[Part]) -> Iterator[Row]:
    """A model: the longest way from ids to logits in the first column, branches beside it."""
    rank = {part: k for k, parts in enumerate(nx.topological_generations(graph)) for part in parts}
    branches, rest = [nx.dag_longest_path(graph)], graph.copy()
    while rest.remove_nodes_from(branches[-1]) or rest:
        branches.append(nx.dag_longest_path(rest))
    # What branches off late stands near: arrows to what is beside it pass below.
    branches[1:] = sorted(branches[1:], key=lambda branch: -rank[branch[0]])
    places = {part: (x, rank[part]) for x, branch in enumerate(branches) for part in branch}
    ids = {part: f"{name} {k}" for k, part in enumerate(graph)}
    for part, (x, y) in places.items():
        text, holds = "\n".join(lines(part)), " ".join(part.holds)
        yield box(name, ids[part], part.role, text, x, y, holds=holds)
    for a, b in graph.edges:
        yield arrow(name, ids[a], ids[b], _way(places[a], places[b], {*places.values()}))


def _way(source: tuple[int, int], target: tuple[int, int], taken: set[tuple[int, int]]) -> str:
    """From place to place, past the boxes in the places taken."""
    (x, y), (to, top) = source, target
    if x == to:
        return "up" if top == y + 1 else "around"
    below = any((to, between) in taken for between in range(y, top))
    return "up then left" if x > to else "up then right" if below else "right then up"


def lines(part: Part) -> list[str]:
    """A box's text: its first step, the others, and names in the code with the output's shape."""
    names = "with " + ", ".join(part.holds) if part.holds else ""
    if part.role == "module":
        last = part.holds[-1].rpartition(".")[2]
        names = part.holds[0] + (f"–{last}" if len(part.holds) > 1 else "")
    end = f"{names} → {part.shape}" if names and part.shape else names + part.shape
    return [part.steps[0], *wrap(", ".join(part.steps[1:]), LINE), *wrap(end, LINE)]


def draw(frame: pd.DataFrame) -> Figure:
    """A panel per model, two in a row."""
    panels = parts_of(frame, "panel")
    size, across = (int(frame["x"].max()) + 1, int(frame["y"].max()) + 1), min(2, len(panels))
    width, height = max(PAGE / across, COLUMN * size[0]), ROW * size[1] + TITLES
    rows = -(-len(panels) // across)
    figure = Figure(figsize=(across * width, height * rows), layout=STILL)
    for k, (name, panel) in enumerate(panels):
        row, column = divmod(k, across)
        corner = column / across, 1 - (row + 1) / rows
        axis = figure.add_axes((*corner, 1 / across, ROW * size[1] / height / rows))
        axis.set(xlim=(-0.5, width / COLUMN - 0.5), ylim=(-0.5, size[1] - 0.5))
        axis.set_title(f"({'abcdefgh'[k]}) {MODELS[name]}")
        draw_boxes(axis, panel)
    return figure
