"""Beyond the paper: every open choice read otherwise, one at a time, and what that does."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoloss.claims.measures import DECIDING
from autoloss.methods.info import OWN
from autoloss.metrics import METRICS
from autoloss.report.figures._marks import dots
from autoloss.report.figures._source import Source
from autoloss.report.figures._style import GREY, colour, page_width
from autoloss.report.frames import parts_of, rows_of
from autoloss.report.readings import sensitivity_frame

TITLE = "Sensitivity to the paper's open choices"
CAPTION = (
    "Each choice that the paper leaves open, read otherwise, alone. Left: what that changes in "
    "test AUC and recalibrated log loss of AutoLoss; to the right is better. Mean of the "
    "differences between runs of the same seed, over {seeds}, with its {interval}; a mean beyond "
    "an axis is written at its edge, an interval that goes on beyond has an arrow there. Right: "
    "Spearman's correlation of the order of the methods in AUC with the paper's "
    "Table 2, with the bootstrap interval of its change."
)
GROUPS = ("sensitivity",)
ORDER = 10
IN_ALL = False


def data(source: Source) -> pd.DataFrame:
    """Per data set, metric and reading: the change, the gain over CE, and the order."""
    return sensitivity_frame(source.study, source.index())


def draw(frame: pd.DataFrame) -> Figure:
    """A row per data set; a panel per metric, and one for the order."""
    datasets = parts_of(frame, "dataset")
    height = 0.6 + 0.16 * max(frame["reading"].nunique(), 1)
    figure = Figure(figsize=(page_width(), height * max(len(datasets), 1)))
    parts = figure.subfigures(max(len(datasets), 1), 1, squeeze=False)[:, 0]
    for part, (dataset, rows) in zip(parts, datasets, strict=False):
        part.suptitle(dataset, x=0.01, ha="left")
        axes = part.subplots(1, len(DECIDING) + 1, width_ratios=[1] * len(DECIDING) + [0.8])
        labels = list(dict.fromkeys(rows["label"]))
        for axis, metric in zip(axes, DECIDING, strict=False):
            shown = rows[(rows["metric"] == metric) & rows["mean"].notna()]
            dots(axis, shown.assign(method=OWN), labels, middle=0)
            axis.axvline(0, color=GREY, linewidth=0.8)  # the reading as built
            axis.set_xlabel(f"change, {METRICS[metric].label}")
        _orders(axes[-1], rows[rows["metric"] == DECIDING[0]], labels)
        for axis in axes[1:]:
            axis.tick_params(labelleft=False)
    return figure


def _orders(axis: Axes, rows: pd.DataFrame, labels: list[str]) -> None:
    """Dots, and the interval of the change around each, as far as a correlation goes."""
    for row in rows_of(rows[rows["order"].notna()]):
        place, usual = labels.index(row["label"]), row["order"] - row["order_change"]
        ends = usual + np.array([row["order_change_low"], row["order_change_high"]])
        axis.plot(ends.clip(-1, 1), [place, place], color=GREY, linewidth=0.9)
        axis.plot(row["order"], place, color=colour(OWN), marker="s", linestyle="none")
    axis.axvline(0, color=GREY, linewidth=0.8)
    axis.set_xlim(-1.05, 1.05)
    axis.set_xlabel(f"correlation of order, {METRICS[DECIDING[0]].label}")
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
