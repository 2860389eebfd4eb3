"""The sensitivity study: a row per reading of an open choice, a grid per data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from autoloss.claims.measures import DECIDING
from autoloss.methods.info import OWN
from autoloss.metrics import METRICS
from autoloss.models import MODELS
from autoloss.report.analysis import read_index
from autoloss.report.frames import parts_of, rows_of
from autoloss.report.readings import nearest, sensitivity_frame
from autoloss.report.table import Grid, Item, Table, choice_href, interval
from autoloss.report.tables._methods import protocol_note, split_notes
from autoloss.study.study import Study

TITLE = "Sensitivity: every open choice read otherwise, one at a time, test split"
GROUPS = ("sensitivity",)
ORDER = 6
IN_ALL = False
CONFIGS = ("sensitivity.yaml",)
RANKED = "auc"  # the metric whose order of the methods is shown


def make(study: Study, name: str) -> Table:
    """Per metric: our method's change, its gain over CE, and how near the paper's the order is."""
    return sensitivity_table(study, read_index(study, name))


def sensitivity_table(study: Study, index: pd.DataFrame) -> Table:
    """The table of an index's runs."""
    frame = sensitivity_frame(study, index)
    grids = [_grid(study, place, part) for place, part in parts_of(frame, "dataset", "model")]
    notes = [protocol_note(study), *_notes(study, frame), *split_notes(index)]
    return Table(TITLE, grids, notes, frame)


def _grid(study: Study, place: tuple[str, str], part: pd.DataFrame) -> Grid:
    dataset, model = place
    spec, alpha = study.dataset(dataset), study.config.statistics.alpha
    columns = [
        (METRICS[metric].label, name)
        for metric in DECIDING
        for name in ("change", "gain over CE", *["rank correlation"] * (metric == RANKED))
    ]
    body = []
    for _, of_reading in parts_of(part, "reading"):
        rows = {row["metric"]: row for row in rows_of(of_reading)}
        label, choice = of_reading[["label", "choice"]].iloc[0]
        items = [item for m in DECIDING for item in _items(m, rows.get(m, {}), alpha)]
        body.append([Item(label, href=choice_href(choice) if choice else ""), *items])
    title = f"{MODELS[model]}, {spec.heading}"
    return Grid(title, "reading", columns, body)


def _items(metric: str, row: Mapping[str, Any], alpha: float) -> Iterator[Item]:
    significant = all(row.get(p, 1.0) < alpha for p in ("p_holm", "p_t_holm"))  # NaN: no test
    yield interval(row, "mean", "low", "high", bold=significant)
    yield interval(row, "over_ce", "over_ce_low", "over_ce_high")
    if metric == RANKED:
        order = row.get("order")
        yield Item("–") if pd.isna(order) else Item(f"{order:+.2f}", order)


def _notes(study: Study, frame: pd.DataFrame) -> Iterator[str]:
    options, label = study.config.statistics, study.label(OWN)
    seeds, families = study.config.study.seeds, frame.groupby("metric")["p"].count()
    tests = " or ".join(map(str, sorted({int(families[m]) for m in DECIDING}, reverse=True)))
    yield (
        f"Change: {label} under the reading against {label} as built, paired over {seeds} seeds; "
        f"more is better for every metric. Mean and {options.confidence:.0%} t-interval; "
        f"bold: sign-flip and corrected t test, each Holm-corrected over {tests} readings by the "
        f"metric, both p < {options.alpha:g}. "
        "Gain over CE: both under the reading. A reading leads to its row of docs/deviations.md."
    )
    order = ", ".join(study.label(method) for method in study.sensitivity.order)
    yield (
        f"Rank correlation: Spearman's, of the order of the means of {order} with their order in "
        "the paper's Table 2 (1: the same, -1: turned round)."
    )
    if frame["order"].notna().any():
        best, correlation, usual = nearest(frame)
        yield (
            f"Nearest to the paper's order in AUC, in the mean over data sets: {best}, "
            f"with {correlation:+.2f} (as built: {usual:+.2f}). It is the best of "
            f"{frame['reading'].nunique()} looked at, so its lead is flattered; the CSV has "
            "bootstrap intervals of each change of it, and raw log loss."
        )
