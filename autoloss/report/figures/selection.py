"""Beyond the paper: which loss is chosen, as training goes on, by label and by ease."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from autoloss.report.figures._choices import choices_of, ends_of, most_seeds
from autoloss.report.figures._marks import multiples
from autoloss.report.figures._source import Source, carried_forward
from autoloss.report.figures._style import loss_label

TITLE = "Selection of the candidate losses"
CAPTION = (
    "Share of the validation examples in which a candidate loss has the largest weight (candidates "
    "whose weights are alike share it), after every epoch, by the example's true class (the first "
    "and the last) and by how easy it is: "
    "hard where the model gives the true class a probability below one half. Mean over {seeds} "
    "with its {share_interval}; a run that has stopped early keeps its last shares; left out "
    "where at most half of the seeds have such examples. The study's first model."
)
GROUPS = ("table_2",)
WEIGHTS = "per example"
ORDER = 8
EASE = ("hard", "easy")


def data(source: Source) -> pd.DataFrame:
    """Per data set, method, label, ease, epoch and candidate: the share, mean and interval."""
    runs = choices_of(source, "selection", last=False)
    runs["ease"] = [EASE[int(k >= runs.attrs["bins"] // 2)] for k in runs["bin"]]
    keys = ["dataset", "method", "class", "ease", "epoch", "candidate"]
    runs["total"] = runs["value"] * runs["count"]
    sums = runs.groupby([*keys, "seed"], sort=False)[["total", "count"]].sum().reset_index()
    sums["share"] = sums["total"] / sums["count"].where(sums["count"] > 0)
    sums = carried_forward(sums, ["dataset", "method"])
    summary = source.summarise(sums, keys, "share", shares=True)
    frame = most_seeds(summary, source.units(sums))
    frame["label"] = [source.study.label(method) for method in frame["method"]]
    return frame


def draw(frame: pd.DataFrame) -> Figure:
    """A row per data set and method; a column per class shown, the first and the last, and ease."""
    frame = ends_of(frame)
    rows = [f"{m}\n{d}" for m, d in zip(frame["label"], frame["dataset"], strict=True)]
    columns = frame["end"] + ", " + frame["ease"]
    titles = "class " + frame["class"].astype(str) + ", " + frame["ease"]
    names = [loss_label(name) for name in frame["candidate"]]
    frame = frame.assign(row=rows, column=columns, title=titles, label=names)
    figure = multiples(frame, "epoch", by="candidate", height=1.1, sharex=False)
    for axis in figure.axes:
        axis.set(xlim=(0.9, frame["epoch"].max() + 0.1), ylim=(-0.03, 1.03))
    return figure
