"""The sensitivity study as a table: a row per reading of an open choice, a block per data set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from autoloss.metrics import METRICS
from autoloss.registry import MODELS, OWN
from autoloss.report.frames import parts_of, rows_of
from autoloss.report.sensitivity import SHOWN, nearest, sensitivity_frame
from autoloss.report.tables import TITLES, Block, Table, Text
from autoloss.study import Study
from autoloss.variants import DEFAULT


def sensitivity_table(study: Study, index: pd.DataFrame) -> Table:
    """Per metric: our method's change, its gain over CE, and how near the paper's the order is."""
    frame = sensitivity_frame(study, index)
    blocks = [_block(study, place, part) for place, part in parts_of(frame, "dataset", "model")]
    return Table(TITLES["sensitivity"], frame, blocks, list(_notes(study, frame)))


def _block(study: Study, place: tuple[str, str], part: pd.DataFrame) -> Block:
    dataset, model = place
    spec, alpha = study.dataset(dataset), study.config.statistics.alpha
    columns = [
        (METRICS[metric].label, name)
        for metric in SHOWN
        for name in ("change", "gain over CE", "order ρ")
    ]
    body = []
    for _, found in parts_of(part, "reading"):
        rows = {row["metric"]: row for row in rows_of(found)}
        first = rows_of(found)[0]
        name = f"{first['label']} ({first['choice']})" if first["choice"] else first["label"]
        body.append((name, [t for metric in SHOWN for t in _cells(rows.get(metric, {}), alpha)]))
    return Block(f"{MODELS[model]}, {spec.title} (stands for {spec.stands_for})", columns, body)


def _cells(row: Mapping[str, Any], alpha: float) -> list[Text]:
    significant = not pd.isna(row.get("p_holm")) and row["p_holm"] < alpha
    order = row.get("order")
    return [
        Text(_interval(row, "mean", "low", "high"), bold=bool(significant)),
        Text(_interval(row, "over_ce", "over_ce_low", "over_ce_high")),
        Text("–" if pd.isna(order) else f"{order:+.2f}"),
    ]


def _interval(row: Mapping[str, Any], mean: str, low: str, high: str) -> str:
    if pd.isna(row.get(mean)):
        return "–"
    return f"{row[mean]:+.4f} [{row[low]:+.4f}, {row[high]:+.4f}]"


def _notes(study: Study, frame: pd.DataFrame) -> Iterator[str]:
    options, label = study.config.statistics, study.label(OWN)
    seeds, tests = study.config.study.seeds, int((frame["metric"] == SHOWN[0]).sum())
    tests -= int(((frame["metric"] == SHOWN[0]) & (frame["reading"] == DEFAULT)).sum())
    yield (
        f"Change: {label} under the reading against {label} as built, paired over {seeds} seeds; "
        f"more is better for every metric. Mean and {options.confidence:.0%} bootstrap interval; "
        f"bold: exact sign-flip test, Holm-corrected over {tests} readings, p < {options.alpha:g}. "
        "Gain over CE: both under the reading. In brackets: the row of docs/deviations.md."
    )
    order = ", ".join(study.label(method) for method in study.sensitivity.order)
    yield f"Order ρ: Spearman's correlation with the paper's Table 2 of the means of {order}."
    if frame["order"].notna().any():
        best, correlation, usual = nearest(frame)
        yield (
            f"Nearest to the paper's order in AUC, in the mean over data sets: {best}, "
            f"ρ = {correlation:+.2f} (as built: {usual:+.2f}). It is the best of "
            f"{frame['reading'].nunique()} looked at, so its lead is flattered; the CSV has "
            "bootstrap intervals of each change."
        )
