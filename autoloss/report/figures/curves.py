"""Beyond the paper: learning curves, the validation metrics after every epoch."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from autoloss.metrics import METRICS
from autoloss.registry import MODELS, OWN
from autoloss.report.figures.marks import band, legend_below
from autoloss.report.figures.source import Source
from autoloss.report.figures.style import PAGE
from autoloss.report.frames import parts_of

TITLE = "Learning curves"
CAPTION = (
    "Validation AUC and log loss after every epoch, mean and 95 % t-interval over the seeds that "
    "were still training. Log loss is raw: focal and hinge are not calibrated, so theirs is not a "
    "measure of what they have learned."
)
SHOWN = ("auc", "logloss")
METHODS = ("focal", "kl", "hinge", "ce", "slf", "darts", OWN)


def data(source: Source) -> pd.DataFrame:
    """Per data set, model, method, epoch and metric: mean and interval."""
    rows = [
        {"dataset": r.dataset, "model": r.model, "method": r.method, **curve.model_dump()}
        for r in source.records(source.index(METHODS))
        for curve in r.curves
    ]
    keys = ["dataset", "model", "method", "epoch"]
    runs = pd.DataFrame(rows, columns=[*keys, *SHOWN])
    parts = [source.summarise(runs, keys, metric).assign(metric=metric) for metric in SHOWN]
    frame = pd.concat(parts, ignore_index=True)
    frame["label"] = [source.study.label(method) for method in frame["method"]]
    return frame


def draw(frame: pd.DataFrame) -> Figure:
    """A row per metric, a column per data set and model."""
    columns = parts_of(frame, "dataset", "model")
    figure = Figure(figsize=(PAGE, 3.3))
    axes = figure.subplots(len(SHOWN), max(len(columns), 1), squeeze=False)
    for column, ((dataset, model), cell) in enumerate(columns):
        for row, metric in enumerate(SHOWN):
            axis = axes[row][column]
            for method, rows in parts_of(cell[cell["metric"] == metric], "method"):
                band(axis, rows, "epoch", method, rows["label"].iloc[0])
            axis.set_xticks(sorted(cell["epoch"].unique()))
            axis.set_ylabel(METRICS[metric].label if column == 0 else "")
        axes[0][column].set_title(f"{MODELS[model]}, {dataset}")
        axes[-1][column].set_xlabel("epoch")
    legend_below(figure, axes[0][0])
    return figure
