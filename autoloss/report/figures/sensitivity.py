"""Beyond the paper: every open choice read otherwise, one at a time, and what that does."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoloss.metrics import METRICS
from autoloss.registry import OWN
from autoloss.report.figures.marks import reach
from autoloss.report.figures.source import Source
from autoloss.report.figures.style import GREY, PAGE, colour
from autoloss.report.frames import parts_of, rows_of
from autoloss.report.sensitivity import SHOWN, sensitivity_frame

TITLE = "Sensitivity to the paper's open choices"
CAPTION = (
    "Each open choice of docs/deviations.md read otherwise, alone. Left: the change in AutoLoss's "
    "test AUC and log loss against the reading as built, paired by seed; to the right is better. "
    "Right: Spearman's correlation of the order of the methods with the paper's Table 2. Mean and "
    "95 % bootstrap interval."
)


def data(source: Source) -> pd.DataFrame:
    """Per data set, metric and reading: the change, the gain over CE, and the order."""
    return sensitivity_frame(source.study, source.index())


def draw(frame: pd.DataFrame) -> Figure:
    """A row per data set; a panel per metric, and one for the order."""
    datasets = parts_of(frame, "dataset")
    height = 0.6 + 0.16 * max(frame["reading"].nunique(), 1)
    figure = Figure(figsize=(PAGE, height * max(len(datasets), 1)))
    parts = figure.subfigures(max(len(datasets), 1), 1, squeeze=False)[:, 0]
    for part, (dataset, rows) in zip(parts, datasets, strict=False):
        part.suptitle(dataset, x=0.01, ha="left", weight="bold", fontsize=7.5)
        axes = part.subplots(1, len(SHOWN) + 1, width_ratios=[1] * len(SHOWN) + [0.8])
        labels = list(dict.fromkeys(rows["label"]))
        for axis, metric in zip(axes, SHOWN, strict=False):
            _changes(axis, rows[rows["metric"] == metric], labels)
            axis.set_xlabel(f"change, {METRICS[metric].label}")
            axis.locator_params(axis="x", nbins=4)
        _orders(axes[-1], rows[rows["metric"] == SHOWN[0]], labels)
        for axis in axes[1:]:
            axis.tick_params(labelleft=False)
    return figure


def _changes(axis: Axes, rows: pd.DataFrame, labels: list[str]) -> None:
    """Dots with intervals around zero: the reading as built."""
    axis.axvline(0, color=GREY, linewidth=0.8)
    for row in rows_of(rows[rows["mean"].notna()]):
        place = labels.index(row["label"])
        axis.errorbar(
            row["mean"],
            place,
            xerr=reach({k: float(row[k]) for k in ("mean", "low", "high")}),
            color=colour(OWN),
            marker="o",
            elinewidth=0.9,
            capsize=1.5,
        )
    _readings(axis, labels)


def _orders(axis: Axes, rows: pd.DataFrame, labels: list[str]) -> None:
    """Dots, and the interval of the change around each."""
    for row in rows_of(rows[rows["order"].notna()]):
        place, usual = labels.index(row["label"]), row["order"] - row["order_change"]
        low, high = usual + row["order_change_low"], usual + row["order_change_high"]
        axis.plot([low, high], [place, place], color=GREY, linewidth=0.9)
        axis.plot(row["order"], place, color=colour(OWN), marker="s", linestyle="none")
    axis.axvline(0, color=GREY, linewidth=0.8)
    axis.set_xlim(-1.05, 1.05)
    axis.set_xlabel(f"order ρ, {METRICS[SHOWN[0]].label}")
    _readings(axis, labels)


def _readings(axis: Axes, labels: list[str]) -> None:
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)
