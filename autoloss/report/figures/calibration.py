"""Beyond the paper: how true each loss's probabilities are (a reliability diagram)."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from autoloss.registry import MODELS, OWN
from autoloss.report.figures.marks import legend_below
from autoloss.report.figures.source import Source
from autoloss.report.figures.style import GREY, PAGE, colour, marker
from autoloss.report.frames import parts_of

TITLE = "Calibration"
CAPTION = (
    "Predicted probabilities on the test split, in 20 bins, against the share that came true, over "
    "all seeds; on the diagonal they are true. With 5 classes each class's probabilities count. "
    "Bins of fewer than 50 predictions are left out."
)
METHODS = ("focal", "kl", "hinge", "ce", OWN)
FEWEST = 50


def data(source: Source) -> pd.DataFrame:
    """Per data set, model, method and bin: predictions, their mean, and what came true."""
    rows = [
        {
            "dataset": r.dataset,
            "model": r.model,
            "method": r.method,
            "bin": k,
            "count": count,
            "predicted": count * (r.reliability.predicted[k] or 0),
            "observed": count * (r.reliability.observed[k] or 0),
        }
        for r in source.records(source.index(METHODS))
        if r.reliability
        for k, count in enumerate(r.reliability.counts)
    ]
    keys = ["dataset", "model", "method", "bin"]
    sums = ["count", "predicted", "observed"]
    frame = pd.DataFrame(rows, columns=[*keys, *sums])
    frame = frame.groupby(keys, sort=False)[sums].sum().reset_index()
    frame = frame[frame["count"] >= FEWEST].copy()
    for key in ("predicted", "observed"):
        frame[key] /= frame["count"]
    frame["label"] = [source.study.label(method) for method in frame["method"]]
    return frame


def draw(frame: pd.DataFrame) -> Figure:
    """A panel per data set and model."""
    cells = parts_of(frame, "dataset", "model")
    figure = Figure(figsize=(PAGE, 2.2))
    axes = figure.subplots(1, max(len(cells), 1), squeeze=False)[0]
    for axis, ((dataset, model), cell) in zip(axes, cells, strict=False):
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--")
        for method, rows in parts_of(cell, "method"):
            rows = rows.sort_values("bin")
            style: dict[str, Any] = {"color": colour(method), "marker": marker(method)}
            axis.plot(
                rows["predicted"], rows["observed"], label=rows["label"].iloc[0], ms=2.5, **style
            )
        axis.set_title(f"{MODELS[model]}, {dataset}")
        axis.set_xlim(0, 1)
        axis.set_ylim(0, 1)
        axis.set_aspect("equal")
        axis.set_xlabel("predicted")
    axes[0].set_ylabel("observed")
    legend_below(figure, axes[0])
    return figure
