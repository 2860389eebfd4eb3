"""The numbers that the paper states (`configs/published.yaml`)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from autoloss.strict import Strict, load_yaml

Key = str | int  # a method, or for Figure 4 (b, c) the steps between outer steps
ByCell = dict[str, dict[str, dict[str, dict[Key, float]]]]  # data set, model, metric, key


class Stated(Strict):
    """Numbers of one table or plot: where they are read, and how far off they may be."""

    source: str
    precision: float = Field(ge=0, description="at most so far off the paper's own number")


class Counts(Stated):
    """Table 1: statistics by data set."""

    values: dict[str, dict[str, int]]


class Cells(Stated):
    """A number per data set, model, metric (or `hours`) and method, or steps between outer ones."""

    values: ByCell

    def of(self, dataset: str, model: str) -> dict[str, dict[Key, float]]:
        """Numbers by metric, then key, in the paper's order; none where it has no such cell."""
        return self.values.get(dataset, {}).get(model, {})


class Published(Strict):
    """Tables 1 to 3 and Figures 3 and 4 of the paper, by the paper's data sets."""

    table_1: Counts
    table_2: Cells
    table_3: Cells
    figure_3: Cells
    figure_4_hours: Cells
    figure_4_frequency: Cells

    def value(self, table: str, dataset: str, model: str, metric: str, method: str) -> float | None:
        """A cell of the paper's Table 3 or Figure 3, or else of Table 2; None where it has none."""
        cells = {"table_3": self.table_3, "figure_3": self.figure_3}.get(table, self.table_2)
        return cells.of(dataset, model).get(metric, {}).get(method)


def load_published(root: Path) -> Published:
    """The published numbers of the project at `root`."""
    return load_yaml(root / "configs" / "published.yaml", Published)
