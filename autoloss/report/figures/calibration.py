"""Beyond the paper: how true each loss's probabilities are (a reliability diagram)."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from autoloss.models import MODELS
from autoloss.report.figures._intervals import t_interval
from autoloss.report.figures._marks import multiples
from autoloss.report.figures._source import Source
from autoloss.report.figures._style import GREY

TITLE = "Calibration"
CAPTION = (
    "How true predicted probabilities are, of each loss alone and of ours: on the test split, in "
    "20 bins, their mean against the share that came true; on the diagonal they agree. A curve "
    "flatter than it, with a slope below 1, is that of an over-confident model, a steeper one that "
    "of a model that is too cautious. With more than two classes the probabilities of every class "
    "count. Over {seeds} together, with the {share_interval}; bins of fewer than 50 predictions "
    "are left out, and the line is broken there."
)
GROUPS = ("table_2",)
ORDER = 7
FEWEST = 50


def data(source: Source) -> pd.DataFrame:
    """Per data set, model, method and bin: predictions, their mean, and what came true.

    The share that came true is that of all seeds' predictions together, a ratio of two sums over
    seeds; its standard error is that of a ratio (Cochran, Sampling Techniques, 1977, 6.3), from
    the residuals observed - share · count of the seeds, which share the test rows, or of splits.
    """
    shown = source.methods(lambda info: info.weights == "one candidate")
    rows = [
        {
            "dataset": r.dataset,
            "model": r.model,
            "method": r.method,
            "seed": r.seed,
            "bin": k,
            "count": count,
            "predicted": count * (r.reliability.predicted[k] or 0),
            "observed": count * (r.reliability.observed[k] or 0),
        }
        for r in source.records(source.index(shown))
        if r.reliability
        for k, count in enumerate(r.reliability.counts)
    ]
    keys, sums = ["dataset", "model", "method", "bin"], ["count", "predicted", "observed"]
    runs = pd.DataFrame(rows, columns=[*keys, "seed", *sums])
    runs["unit"] = source.units(runs)
    bins = runs.groupby(keys, sort=False)
    total = bins[sums].transform("sum")
    runs["residual"] = runs["observed"] - total["observed"] / total["count"] * runs["count"]
    frame = bins[sums].sum()
    of_unit = runs.groupby([*keys, "unit"], sort=False)["residual"].sum().groupby(keys, sort=False)
    frame["n"], frame["sd"] = of_unit.size(), of_unit.std()
    frame = frame[frame["count"] >= FEWEST].reset_index()
    for key in ("predicted", "observed"):
        frame[key] /= frame["count"]
    error = frame["sd"] * frame["n"] ** 0.5 / frame["count"] * source.overlap(frame["n"])
    interval = t_interval(frame["observed"], error, frame["n"], source.confidence, shares=True)
    frame["low"], frame["high"] = interval
    frame["label"] = [source.study.label(method) for method in frame["method"]]
    return frame.drop(columns="sd")


def draw(frame: pd.DataFrame) -> Figure:
    """A panel per data set and model."""
    places = [f"{MODELS[m]}, {d}" for m, d in zip(frame["model"], frame["dataset"], strict=True)]
    frame = frame.assign(row="observed", column=places, title=places)
    figure = multiples(frame, "predicted", "observed", by="method", height=1.8, step="bin")
    for axis in figure.axes:
        axis.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle="--", zorder=0)
        axis.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    return figure
