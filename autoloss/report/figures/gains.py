"""Beyond the paper: what every method gains over plain cross-entropy, with its interval."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoloss.metrics import METRICS
from autoloss.registry import MODELS
from autoloss.report.figures.marks import reach
from autoloss.report.figures.source import Source
from autoloss.report.figures.style import GREY, PAGE, colour, marker
from autoloss.report.frames import parts_of, rows_of
from autoloss.stats import compare

TITLE = "Gain over cross-entropy"
CAPTION = (
    "Test AUC and recalibrated log loss of every method of Table 2 minus those of cross-entropy, "
    "paired by seed; to the right is better. Mean and 95 % bootstrap interval. Gains beyond the "
    "axis are written at its edge."
)
SHOWN = ("auc", "logloss_calibrated")
BASE = "ce"


def data(source: Source) -> pd.DataFrame:
    """Per data set, model, method and metric: the paired gain and its interval."""
    index, options = source.index(), source.study.config.statistics
    rows = []
    for (dataset, model), cell in parts_of(index, "dataset", "model"):
        for metric in SHOWN:
            by_seed = cell.pivot(index="seed", columns="method", values=metric)
            for method in cell["method"].unique():
                pairs = by_seed[[method, BASE]].dropna() if BASE in by_seed else by_seed[:0]
                if method == BASE or len(pairs) < 2:
                    continue
                found = compare(
                    pairs[method].to_numpy(),
                    pairs[BASE].to_numpy(),
                    higher_is_better=METRICS[metric].higher_is_better,
                    confidence=options.confidence,
                    resamples=options.resamples,
                )
                rows.append(
                    {
                        "dataset": dataset,
                        "model": model,
                        "method": method,
                        "label": source.study.label(method),
                        "metric": metric,
                        "n": found.n,
                        "mean": found.gain,
                        "low": found.low,
                        "high": found.high,
                    }
                )
    columns = ["dataset", "model", "method", "label", "metric", "n", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def draw(frame: pd.DataFrame) -> Figure:
    """A row per data set, a column per model and metric; methods in the table's order."""
    labels = dict(zip(frame["method"], frame["label"], strict=True))
    columns = [(m, metric) for metric in SHOWN for m in frame["model"].unique()]
    datasets = parts_of(frame, "dataset")
    height = 0.75 + 0.135 * len(labels)
    figure = Figure(figsize=(PAGE, height * max(len(datasets), 1)))
    parts = figure.subfigures(max(len(datasets), 1), 1, squeeze=False)[:, 0]
    for part, (dataset, cell) in zip(parts, datasets, strict=False):
        part.suptitle(dataset, x=0.01, ha="left", weight="bold", fontsize=7.5)
        axes = part.subplots(1, len(columns), squeeze=False)[0]
        for axis, (model, metric) in zip(axes, columns, strict=True):
            rows = cell[(cell["model"] == model) & (cell["metric"] == metric)]
            _forest(axis, rows, labels)
            axis.set_title(MODELS[model])
            axis.set_xlabel(f"gain, {METRICS[metric].label}")
            axis.tick_params(labelleft=axis is axes[0])
    return figure


def _forest(axis: Axes, rows: pd.DataFrame, labels: dict[str, str]) -> None:
    """Dots with intervals around zero; the axis ends where most are, the rest is named there."""
    methods = list(labels)
    edge = 3 * float(rows[["low", "high"]].abs().max(axis=1).median()) or 1e-6
    axis.axvline(0, color=GREY, linewidth=0.8)
    for row in rows_of(rows):
        place, mean = methods.index(row["method"]), row["mean"]
        style: dict[str, Any] = {"color": colour(row["method"]), "marker": marker(row["method"])}
        if abs(mean) <= edge:
            axis.errorbar(mean, place, xerr=reach(row), elinewidth=0.9, capsize=1.5, **style)
        else:
            side = -1 if mean < 0 else 1
            text = f"← {mean:.2g}" if side < 0 else f"{mean:.2g} →"
            axis.text(
                side * edge,
                place,
                text,
                ha="left" if side < 0 else "right",
                va="center",
                color=style["color"],
                fontsize=6,
            )
    axis.set_xlim(-edge * 1.05, edge * 1.05)
    axis.set_yticks(range(len(methods)), list(labels.values()))
    axis.set_ylim(len(methods) - 0.4, -0.6)
    axis.locator_params(axis="x", nbins=3)
    axis.grid(axis="y", visible=False)
