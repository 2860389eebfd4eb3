"""Figure 3: controllers trained with one model on one data set, frozen, train another."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from autoloss.claims.measures import DECIDING
from autoloss.metrics import METRICS
from autoloss.models import MODELS
from autoloss.report.figures._marks import dots
from autoloss.report.figures._source import Source
from autoloss.report.figures._style import page_width, per_line
from autoloss.report.frames import parts_of

TITLE = "Figure 3: transfer of frozen controllers"
CAPTION = (
    "Test AUC and recalibrated log loss of models trained with cross-entropy alone, and with the "
    "loss weights of controllers that were trained beside another model and are held fixed. As in "
    "the paper, (a, b) and (c, d) have another model, (e, f) other data. "
    "Mean over {seeds} with its {interval}; a mean beyond an axis is written at its edge, "
    "an interval that goes on beyond has an arrow there."
)
GROUPS = ("figure_3",)
ORDER = 3
KEPT = (*DECIDING, "logloss")


def data(source: Source) -> pd.DataFrame:
    """Per target, metric and method: the mean over seeds and its interval."""
    index, study = source.index(), source.study
    parts = []
    for metric in KEPT:
        part = source.summarise(index, ["dataset", "model", "method"], metric)
        parts.append(part.assign(metric=metric))
    frame = pd.concat(parts, ignore_index=True)
    frame["label"] = [study.label(method) for method in frame["method"]]
    targets = [(pair.dataset, pair.model) for pair in study.config.study.targets]
    frame["target"] = [targets.index(t) for t in zip(frame["dataset"], frame["model"], strict=True)]
    return frame.sort_values("target", kind="stable")


def draw(frame: pd.DataFrame) -> Figure:
    """A column per target, a row per metric."""
    targets = parts_of(frame, "target")
    across = per_line(len(targets), 1.5)
    height, down = 0.7 + 0.25 * frame["label"].nunique(), -(-len(targets) // across)
    figure = Figure(figsize=(page_width(), height * len(DECIDING) * down))
    axes = figure.subplots(len(DECIDING) * down, across, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for k, (_, target) in enumerate(targets):
        below, column = divmod(k, across)
        for row, metric in enumerate(DECIDING):
            axis = axes[below * len(DECIDING) + row][column]
            axis.set_axis_on()
            rows = target[target["metric"] == metric]
            dots(axis, rows, list(rows["label"]))
            letter = "abcdefghijklmnopqrst"[2 * k + row]
            axis.set_xlabel(METRICS[metric].label)
            first = target.iloc[0]
            if row == 0:
                axis.set_title(f"{MODELS[first['model']]}, {first['dataset']}")
            axis.text(-0.02, 1.04, f"({letter})", transform=axis.transAxes, ha="right")
            axis.tick_params(labelleft=column == 0)
    return figure
