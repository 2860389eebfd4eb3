"""Beyond the paper: the controller's decision surface, its weights over (y, y_hat)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from autoloss.report.figures._choices import choices_of, ends_of, most_seeds
from autoloss.report.figures._marks import multiples
from autoloss.report.figures._source import Source
from autoloss.report.figures._style import loss_label, note_size

TITLE = "Decision surface of the controller"
CAPTION = (
    "Mean weight that the controller gives each candidate loss after its last epoch, over the "
    "probability that the model gives the true class, in bins; for validation examples of the "
    "first and of the last class. Mean over {seeds} with its {share_interval}; left out, and the "
    "line broken, where at most half of the seeds have 10 examples. The study's first model."
)
GROUPS = ("table_2",)
WEIGHTS = "per example"
ORDER = 9
FEWEST = 10  # examples of a bin and seed


def data(source: Source) -> pd.DataFrame:
    """Per data set, method, class, bin and candidate: the weight, mean and interval."""
    runs = choices_of(source, "weights", last=True)
    runs = runs[runs["count"] >= FEWEST]
    keys = ["dataset", "method", "class", "bin", "candidate"]
    summary = source.summarise(runs, keys, "value", shares=True)
    frame = most_seeds(summary, source.units(runs))
    frame["ease"] = (frame["bin"] + 0.5) / runs.attrs["bins"]
    frame["label"] = [source.study.label(method) for method in frame["method"]]
    return frame


def draw(frame: pd.DataFrame) -> Figure:
    """A row per data set, a column per method and class."""
    frame = ends_of(frame)
    titles = frame["label"] + "\nclass " + frame["class"].astype(str)
    names = [loss_label(name) for name in frame["candidate"]]
    columns = frame["method"] + ", " + frame["end"]
    frame = frame.rename(columns={"ease": "p(true label)"})
    frame = frame.assign(row=frame["dataset"], column=columns, title=titles, label=names)
    figure = multiples(frame, "p(true label)", by="candidate", height=1.35, step="bin")
    for axis in figure.axes:
        axis.set(xlim=(0, 1), ylim=(-0.03, 1.03))
        axis.title.set_fontsize(note_size())
    return figure
