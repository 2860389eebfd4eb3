"""Figure 3: a controller trained with one model on one data set, frozen, trains another."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from autoloss.metrics import METRICS
from autoloss.registry import MODELS
from autoloss.report.figures.marks import dots
from autoloss.report.figures.source import Source
from autoloss.report.figures.style import PAGE
from autoloss.report.frames import parts_of

TITLE = "Figure 3: transfer of a frozen controller"
CAPTION = (
    "Test AUC and log loss of models trained with cross-entropy, SLF, and AutoLoss whose "
    "controller was trained elsewhere (study.source) and frozen. Mean and 95 % t-interval over "
    "seeds. As in the paper: (a, b) and (c, d) another model, (e, f) another data set."
)
METRICS_SHOWN = ("auc", "logloss")


def data(source: Source) -> pd.DataFrame:
    """Per target, metric and method: the mean over seeds and its interval."""
    index, study = source.index(), source.study
    parts = []
    for metric in METRICS_SHOWN:
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
    figure = Figure(figsize=(PAGE, 2.9))
    axes = figure.subplots(len(METRICS_SHOWN), len(targets), squeeze=False)
    for column, (_, target) in enumerate(targets):
        for row, metric in enumerate(METRICS_SHOWN):
            axis = axes[row][column]
            dots(axis, target[target["metric"] == metric])
            letter = "abcdefghijkl"[2 * column + row]
            axis.set_xlabel(METRICS[metric].label)
            first = target.iloc[0]
            if row == 0:
                axis.set_title(f"{MODELS[first['model']]}, {first['dataset']}")
            axis.text(-0.02, 1.04, f"({letter})", transform=axis.transAxes, ha="right")
            axis.tick_params(labelleft=column == 0)
    return figure
