"""Where loss search pays: what was predicted and what came of it, and the map in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd

from autoloss.metrics import METRICS
from autoloss.report.analysis import read_index
from autoloss.report.frames import parts_of, rows_of
from autoloss.report.regimes import FAILED, HELD, OPEN, map_frame, name_of, predictions_frame
from autoloss.report.table import Grid, Item, Table, interval, number, plain_columns
from autoloss.report.tables._methods import protocol_note, split_notes
from autoloss.study import identity
from autoloss.study.regimes import BASE
from autoloss.study.study import Study

TITLE = "Where loss search pays: predictions and the map, test split"
GROUPS = ("regimes",)
ORDER = 7
IN_ALL = False
CONFIGS = ("regimes.yaml",)
SHOWN = "auc"  # the metric whose gains are in the grids; the CSV has the others


def make(study: Study, name: str) -> Table:
    """The predictions, then gains over cross-entropy by method and by point."""
    return regimes_table(study, read_index(study, name))


def regimes_table(study: Study, index: pd.DataFrame) -> Table:
    """The table of an index's runs."""
    every, predicted = map_frame(study, index), predictions_frame(study, index)
    gains = every[every["metric"] == SHOWN]
    grids = [_predictions(study, predicted), _by_method(gains), *_maps(study, gains)]
    parts = [predicted.assign(part="prediction"), every.assign(part="map")]
    notes = [protocol_note(study), *_notes(study, gains, predicted), *split_notes(index)]
    long = pd.concat([part for part in parts if len(part)] or parts, ignore_index=True)
    long["design"] = identity.design_key(study)  # a page beside it must be of the same
    return Table(TITLE, [g for g in grids if g.rows], notes, long, lead=_lead(predicted))


def _lead(predicted: pd.DataFrame) -> str:
    whole = predicted.drop_duplicates("prediction")["as_a_whole"].value_counts()
    counts = ", ".join(f"{whole.get(word, 0)} {word}" for word in (HELD, FAILED, OPEN))
    return f"Of {int(whole.sum())} predictions that were written down before the runs: {counts}."


def _predictions(study: Study, predicted: pd.DataFrame) -> Grid:
    statements = {p.name: p.statement for p in study.regimes.predictions}
    body = []
    for name, part in parts_of(predicted, "prediction"):
        outcome = part["as_a_whole"].iloc[0]
        body.append([Item(statements[name]), Item(""), Item(""), Item(outcome, bold=True)])
        for row in rows_of(part):
            body.append(
                [
                    Item(f"– {row['expected']}"),
                    Item(row["point"]),
                    interval(row),
                    Item(row["outcome"]),
                ]
            )
    return Grid("Predictions", "prediction", plain_columns("at", "found", "outcome"), body, True)


def _by_method(gains: pd.DataFrame) -> Grid:
    """At how many points a method gains, or loses, and what could have been found."""
    body = []
    for _, rows in parts_of(gains, "method"):
        won = rows["significant"] & (rows["mean"] > 0)
        items = [
            number(int(rows["p"].notna().sum())),
            number(int(won.sum())),
            number(int((won & (rows["mean"] >= rows["resolved"])).sum())),
            number(int((rows["significant"] & (rows["mean"] < 0)).sum())),
            number(float(rows["resolved"].median())),
        ]
        body.append([Item(rows["label"].iloc[0]), *items])
    columns = plain_columns("points", "gains", "of these resolved", "losses", "resolvable gain")
    return Grid(f"Gain over CE by method, {METRICS[SHOWN].label}", "method", columns, body)


def _maps(study: Study, gains: pd.DataFrame) -> Iterator[Grid]:
    """Every gain: for each data set a grid of points by the methods that several of them have, then
    a list of those of a method at the only point of a data set where it was run.
    """
    points = gains.groupby(["data", "method"])["point"].transform("count")
    heading = f"Gain over CE, {METRICS[SHOWN].label}"
    for data, rows in parts_of(gains[points > 1], "data"):
        methods = [*dict.fromkeys(rows["method"])]
        body = []
        for _, part in parts_of(rows, "point"):
            by_method = {row["method"]: row for row in rows_of(part)}
            items = [_gain(by_method.get(method, {})) for method in methods]
            body.append([Item(part["what"].iloc[0]), *items])
        columns = plain_columns(*(name_of(study, method) for method in methods))
        yield Grid(f"{heading}, {data}", "point", columns, body)
    body = [
        [
            Item(row["what"]),
            Item(row["data"]),
            Item(row["label"]),
            interval(row, bold=bool(row["significant"])),
        ]
        for row in rows_of(gains[points == 1])
    ]
    if body:
        columns = plain_columns("data", "method", "gain")
        yield Grid(f"{heading}, of methods run at one point of a data set", "point", columns, body)


def _gain(row: dict[str, Any]) -> Item:
    mean = row.get("mean")
    if mean is None or pd.isna(mean):
        return Item("–")
    return Item(f"{mean:+.4f}", mean, bold=bool(row["significant"]))


def _notes(study: Study, gains: pd.DataFrame, predicted: pd.DataFrame) -> Iterator[str]:
    options = study.config.statistics
    tested = int(predicted.drop_duplicates("prediction")["p_holm"].notna().sum())
    yield (
        f"Gains over {study.label(BASE)} of the same seed and split, on test labels that nobody "
        f"flipped; more is better. Bold: sign-flip and corrected t test, each Holm-corrected over "
        f"the points of a method, both p < {options.alpha:g}. Resolved: at least the smallest true "
        "gain that this design finds with a chance of 0.8; the last column has its median."
    )
    yield (
        "A prediction came true where all that it expects was shown by both tests, the largest p "
        f"Holm-corrected over the {tested} predictions that were tested; it failed where one "
        f"interval ({options.confidence:.0%}) is on the other side; else it is open. What it "
        "expects, in the rows below it, is judged by itself."
    )
    if gains.empty:
        yield f"There is no gain: they are over {study.label(BASE)}, which this study has not."
    for name, why in study.misfits.items():
        yield f"{study.label(name)} is left out: {why}."
