"""Beyond the paper: learning curves, validation AUC after every epoch."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from autoloss.metrics import METRICS
from autoloss.models import MODELS
from autoloss.report.figures._marks import multiples
from autoloss.report.figures._source import Source, carried_forward

TITLE = "Learning curves"
CAPTION = (
    "Above: AUC on the validation split after every epoch, mean over {seeds} with its {interval}, "
    "of the methods of Table 2 but those whose weights a search found; "
    "a run that has stopped early keeps its last value, so that every mean is over the same runs. "
    "A line that ends beyond an axis is named at its edge. Below: how many runs were still "
    "training. Log loss is recalibrated at the end of a run alone; after every epoch only the raw "
    "one is known, which says little of losses that are not calibrated (it is in the CSV)."
)
GROUPS = ("table_2",)
ORDER = 6
KEPT = ("auc", "logloss")
SHOWN = "auc"
STILL = "runs in training"


def data(source: Source) -> pd.DataFrame:
    """Per data set, model, method, epoch and metric: mean and interval, and runs in `training`."""
    cell = ["dataset", "model", "method"]
    shown = source.methods(lambda info: not info.searches)
    rows = [
        {**{key: getattr(r, key) for key in (*cell, "seed")}, **curve.model_dump()}
        for r in source.records(source.index(shown))
        for curve in r.curves
    ]
    runs = carried_forward(pd.DataFrame(rows, columns=[*cell, "seed", "epoch", *KEPT]), cell)
    keys = [*cell, "epoch"]
    training = runs.groupby(keys, sort=False)["training"].sum().reset_index()
    parts = [source.summarise(runs, keys, metric).assign(metric=metric) for metric in KEPT]
    frame = pd.concat(parts, ignore_index=True).merge(training, on=keys)
    frame["label"] = [source.study.label(method) for method in frame["method"]]
    return frame


def draw(frame: pd.DataFrame) -> Figure:
    """A row for the metric and one for the runs in training, a column per data set and model."""
    frame = frame[frame["metric"] == SHOWN]
    places = [f"{MODELS[m]}, {d}" for m, d in zip(frame["model"], frame["dataset"], strict=True)]
    above = frame.assign(row=METRICS[SHOWN].label, column=places, title=places)
    below = above.assign(row=STILL, title="", mean=above["training"], low=None, high=None)
    both = pd.concat([above, below.astype({"low": float, "high": float})], ignore_index=True)
    limited = [METRICS[SHOWN].label]
    figure = multiples(
        both, "epoch", by="method", height=1.5, limited=limited, sharex=False, sharey=False
    )
    for axis in (axis for axis in figure.axes if axis.get_label() == STILL):
        axis.set_ylim(0, 1.05 * both["training"].max())
        axis.locator_params(axis="y", nbins=4, integer=True)
    return figure
