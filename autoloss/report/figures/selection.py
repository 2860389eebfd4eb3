"""Beyond the paper: which loss is chosen, as training goes on, by label and by ease."""

from __future__ import annotations

from itertools import product

import pandas as pd
from matplotlib.figure import Figure

from autoloss.report.figures.choices import choices_of
from autoloss.report.figures.marks import band, legend_below
from autoloss.report.figures.source import Source
from autoloss.report.figures.style import PAGE, loss_label
from autoloss.report.frames import parts_of

TITLE = "Selection of the candidate losses"
CAPTION = (
    "Share of the validation examples in which a candidate has the largest weight, after every "
    "epoch, by label and by ease (the probability that the model gives the true label: hard below "
    "one half). Mean and 95 % t-interval over seeds; "
    "the study's first model."
)
EASE = ("hard", "easy")


def data(source: Source) -> pd.DataFrame:
    """Per data set, method, label, ease, epoch and candidate: the share, mean and interval."""
    runs = choices_of(source, "selection", last=False)
    runs["ease"] = [EASE[int(k >= runs.attrs["bins"] // 2)] for k in runs["bin"]]
    keys = ["dataset", "method", "class", "ease", "epoch", "candidate"]
    runs["total"] = runs["value"] * runs["count"]
    sums = runs.groupby([*keys, "seed"], sort=False)[["total", "count"]].sum().reset_index()
    sums = sums[sums["count"] > 0].assign(share=lambda f: f["total"] / f["count"])
    frame = source.summarise(sums, keys, "share")
    frame["label"] = [source.study.label(method) for method in frame["method"]]
    return frame


def draw(frame: pd.DataFrame) -> Figure:
    """A row per data set and method; a column per class shown and ease."""
    rows = parts_of(frame, "dataset", "method")
    figure = Figure(figsize=(PAGE, 0.5 + 1.1 * max(len(rows), 1)))
    axes = figure.subplots(max(len(rows), 1), 4, squeeze=False, sharey=True)
    for line, ((dataset, _), part) in enumerate(rows):
        shown = list(product((part["class"].min(), part["class"].max()), EASE))
        for axis, (label, ease) in zip(axes[line], shown, strict=True):
            panel = part[(part["class"] == label) & (part["ease"] == ease)]
            for candidate, values in parts_of(panel, "candidate"):
                name = loss_label(candidate)
                band(axis, values, "epoch", candidate, name)
            axis.set_ylim(-0.03, 1.03)
            axis.set_xticks(sorted(part["epoch"].unique()))
            axis.set_title(f"class {label}, {ease}")
        axes[line][0].set_ylabel(f"{part['label'].iloc[0]}\n{dataset}", fontsize=6)
    for axis in axes[-1]:
        axis.set_xlabel("epoch")
    legend_below(figure, axes[0][0])
    return figure
