"""Figure 4: what training costs (a), and how often to update the controller (b, c)."""

from __future__ import annotations

from collections.abc import Collection

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from autoloss.claims.measures import DECIDING
from autoloss.metrics import METRICS
from autoloss.report.figures._marks import dots, limits, reach, write_at_edge
from autoloss.report.figures._source import Source
from autoloss.report.figures._style import colour, page_width, per_line
from autoloss.report.frames import rows_of

TITLE = "Figure 4: efficiency, and the frequency of outer steps"
CAPTION = (
    "(a) What a run costs, to its own early stop and with its method's search: wall time on this "
    "machine, whatever else it did meanwhile, and examples through the model, forward and "
    "backward, which depend on no hardware. "
    "(b, c) Test AUC and recalibrated log loss of {ours} where its weighting learns after every f "
    "steps of the model. Mean over {seeds} with its {interval}; what lies beyond an axis is "
    "written at its edge, an interval that goes on beyond has an arrow there."
)
GROUPS = ("figure_4",)
ORDER = 4
OPTION = "every"
COSTS = {"seconds": "time of a run (s)", "passes": "passes (million)"}
KEPT = (*DECIDING, "logloss")


def data(source: Source) -> pd.DataFrame:
    """Rows of part `cost` (`quantity` of a method) and `frequency` (`quantity` at `every`)."""
    index, study = source.index(), source.study
    index["seconds"] += index["search_seconds"]
    keys = ("forward_examples", "backward_examples")
    index["passes"] = sum(index[key] + index[f"search_{key}"] for key in keys) / 1e6
    every = study.frequencies()
    of_part: dict[str, tuple[Collection[str], Collection[str]]] = {
        "cost": (study.methods, COSTS),
        "frequency": (every, KEPT),
    }
    frame = pd.concat(
        [
            source.summarise(
                index[index["method"].isin(list(methods))], ["method"], quantity
            ).assign(part=part, quantity=quantity)
            for part, (methods, quantities) in of_part.items()
            for quantity in quantities
        ],
        ignore_index=True,
    )
    frame["label"] = [study.label(method) for method in frame["method"]]
    frame["every"] = [every.get(m, "") for m in frame["method"]]
    return frame


def draw(frame: pd.DataFrame) -> Figure:
    """(a) as two panels, then (b) and (c)."""
    costs = frame[frame["part"] == "cost"]
    height, across = 0.6 + 0.15 * max(8, costs["method"].nunique()), per_line(4, 1.4)
    figure = Figure(figsize=(page_width(), height * (4 // across)))
    axes = list(figure.subplots(4 // across, across, squeeze=False).flat)
    for axis, (quantity, label) in zip(axes, COSTS.items(), strict=False):
        _bars(axis, costs[costs["quantity"] == quantity], label)
        axis.tick_params(labelleft=axis.get_subplotspec().is_first_col())
    for axis, metric in zip(axes[2:], DECIDING, strict=True):
        _by_f(axis, frame[(frame["part"] == "frequency") & (frame["quantity"] == metric)], metric)
    for axis, letter in zip(axes, ("a", "", "b", "c"), strict=True):
        axis.set_title(f"({letter})" if letter else " ", loc="left")
    return figure


def _bars(axis: Axes, rows: pd.DataFrame, label: str) -> None:
    low, high = limits(rows, middle=0)
    for place, row in enumerate(rows_of(rows)):
        shade, length = colour(row["method"]), min(row["mean"], high)
        axis.barh(place, length, color=shade, height=0.7)
        if row["mean"] > high:
            write_at_edge(axis, row, place, low, high, colour="white")
            continue
        axis.errorbar(row["mean"], place, xerr=reach(row), color="black", elinewidth=0.8, capsize=2)
    axis.set_yticks(range(len(rows)), list(rows["label"]))
    axis.invert_yaxis()
    axis.set_xlim(0, high)
    axis.set_xlabel(label)
    axis.grid(axis="y", visible=False)


def _by_f(axis: Axes, rows: pd.DataFrame, metric: str) -> None:
    every = sorted(rows["every"].astype(int))
    dots(axis, rows.assign(label=rows["every"].astype(int)), every)
    axis.set_xlabel(METRICS[metric].label)
    axis.set_ylabel("f", rotation=0)
