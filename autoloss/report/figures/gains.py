"""Beyond the paper: what every method gains over plain cross-entropy, with its interval."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from autoloss.claims.measures import DECIDING
from autoloss.metrics import METRICS
from autoloss.models import MODELS
from autoloss.report.figures._marks import dots
from autoloss.report.figures._source import Source
from autoloss.report.figures._style import GREY, page_width, per_line
from autoloss.report.frames import parts_of
from autoloss.stats import compare, splits_of

TITLE = "Gain over cross-entropy"
CAPTION = (
    "What every method of Table 2 gains over plain cross-entropy in test AUC and recalibrated log "
    "loss; to the right is better. Mean of the differences between runs of the same seed, over "
    "{seeds}, with its {interval}; a mean beyond an axis is written at its edge, "
    "an interval that goes on beyond has an arrow there."
)
GROUPS = ("table_2",)
ORDER = 5
BASE = "ce"


def data(source: Source) -> pd.DataFrame:
    """Per data set, model, method and metric: the paired gain and its interval."""
    index, options = source.index(), source.study.config.statistics
    rows = []
    for (dataset, model), cell in parts_of(index, "dataset", "model"):
        splits = splits_of(cell)
        for metric in DECIDING:
            by_seed = cell.pivot(index="seed", columns="method", values=metric)
            for method in cell["method"].unique():
                pairs = by_seed[[method, BASE]].dropna() if BASE in by_seed else by_seed[:0]
                if method == BASE or len(pairs) < 2:
                    continue
                gain = compare(
                    pairs[method].to_numpy(),
                    pairs[BASE].to_numpy(),
                    higher_is_better=METRICS[metric].higher_is_better,
                    confidence=options.confidence,
                    **splits.options(pairs.index),
                )
                label, interval = source.study.label(method), (gain.gain, gain.low, gain.high)
                rows.append((dataset, model, method, label, metric, gain.n, *interval))
    columns = ["dataset", "model", "method", "label", "metric", "n", "mean", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def draw(frame: pd.DataFrame) -> Figure:
    """A row per data set, a column per model and metric; methods in the table's order."""
    labels = list(dict.fromkeys(frame["label"]))
    columns = [(m, metric) for metric in DECIDING for m in frame["model"].unique()]
    datasets = parts_of(frame, "dataset")
    across = per_line(len(columns), 1.5)
    down = -(-len(columns) // across)
    height = 0.15 + down * (0.6 + 0.135 * len(labels))
    figure = Figure(figsize=(page_width(), height * max(len(datasets), 1)))
    parts = figure.subfigures(max(len(datasets), 1), 1, squeeze=False)[:, 0]
    for part, (dataset, cell) in zip(parts, datasets, strict=False):
        part.suptitle(dataset, x=0.01, ha="left")
        axes = list(part.subplots(down, across, squeeze=False).flat)
        for axis in axes[len(columns) :]:
            axis.set_axis_off()
        for axis, (model, metric) in zip(axes, columns, strict=False):
            rows = cell[(cell["model"] == model) & (cell["metric"] == metric)]
            axis.axvline(0, color=GREY, linewidth=0.8)
            dots(axis, rows, labels, middle=0)
            axis.set_title(MODELS[model])
            axis.set_xlabel(f"gain, {METRICS[metric].label}")
            axis.tick_params(labelleft=axis.get_subplotspec().is_first_col())
    return figure
