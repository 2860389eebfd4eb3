"""Beyond the paper: the controller's decision surface, its weights over (y, y_hat)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from autoloss.report.figures.choices import choices_of
from autoloss.report.figures.marks import band, legend_below
from autoloss.report.figures.source import Source
from autoloss.report.figures.style import PAGE, loss_label
from autoloss.report.frames import parts_of

TITLE = "Decision surface of the controller"
CAPTION = (
    "Mean weight of each candidate at the end of training over the probability that the model "
    "gives the true label, for the first and the last class; where most seeds have 10 validation "
    "examples. Mean and 95 % t-interval over seeds; the study's first model."
)
FEWEST = 10  # examples of a bin and seed


def data(source: Source) -> pd.DataFrame:
    """Per data set, method, class, bin and candidate: the weight, mean and interval."""
    runs = choices_of(source, "weights", last=True)
    runs = runs[runs["count"] >= FEWEST]
    keys = ["dataset", "method", "class", "bin", "candidate"]
    frame = source.summarise(runs, keys, "value")
    frame = frame[frame["n"] > runs["seed"].nunique() / 2].copy()
    frame["ease"] = (frame["bin"] + 0.5) / runs.attrs["bins"]
    frame["label"] = [source.study.label(method) for method in frame["method"]]
    return frame


def draw(frame: pd.DataFrame) -> Figure:
    """A row per data set, a column per method and class."""
    datasets = parts_of(frame, "dataset")
    methods = list(frame["method"].unique())
    figure = Figure(figsize=(PAGE, 0.5 + 1.35 * max(len(datasets), 1)))
    shape = max(len(datasets), 1), max(2 * len(methods), 1)
    axes = figure.subplots(*shape, squeeze=False, sharex=True, sharey=True)
    for row, (dataset, cell) in enumerate(datasets):
        ends = (cell["class"].min(), cell["class"].max())
        for column, (method, label) in enumerate((m, c) for m in methods for c in ends):
            axis = axes[row][column]
            panel = cell[(cell["method"] == method) & (cell["class"] == label)]
            for candidate, values in parts_of(panel, "candidate"):
                name = loss_label(candidate)
                band(axis, values, "ease", candidate, name)
            if len(panel):
                axis.set_title(f"{panel['label'].iloc[0]}\nclass {label}", fontsize=6)
            else:
                axis.set_visible(False)
            axis.set_xlim(0, 1)
            axis.set_ylim(-0.03, 1.03)
        axes[row][0].set_ylabel(f"weight\n{dataset}")
    for axis in axes[-1]:
        axis.set_xlabel("p(true label)")
    legend_below(figure, axes[0][0])
    return figure
