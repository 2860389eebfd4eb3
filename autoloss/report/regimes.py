"""Where loss search pays, from its runs: gains over cross-entropy, and what was predicted of them.

Gains are paired by seed, and so by split. One family is the points of one method by one metric: it
asks whether that method gains anywhere. Another one is the predictions: each, where it expects
several things, by the largest p of them, as all of them have to be shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from autoloss.claims.measures import DECIDING
from autoloss.claims.power import Design
from autoloss.metrics import METRICS
from autoloss.records.index import WEIGHT
from autoloss.report.frames import parts_of
from autoloss.stats import Comparison, Splits, compare, holm, splits_of
from autoloss.stats.paired import differences
from autoloss.study.cell import Cell
from autoloss.study.regimes import BASE, CLEAN_PART, Expectation, Point, Prediction
from autoloss.study.study import Study

TESTS = {"p": "p_permutation", "p_t": "p_t"}
NOWHERE = "nowhere"  # where labels are flipped at a point without noise
HELD, FAILED, OPEN = "came true", "failed", "open"
SEARCH, FIXED, ORACLE = "search", "fixed loss", "oracle"
MAP_COLUMNS = [
    *("point", "data", "what", "where", "share", "parts", "rows", "positives"),
    *("method", "label", "metric", "n", "value", "mean", "low", "high"),
    *("p", "p_holm", "p_t", "p_t_holm", "significant", "resolved"),
]
PREDICTED_COLUMNS = [
    *("prediction", "point", "expected", "n", "mean", "low", "high"),
    *("p", "p_holm", "p_t", "p_t_holm", "outcome", "as_a_whole"),
]


@dataclass(frozen=True)
class Runs:
    """The index of the regimes' runs, looked up by point and method."""

    study: Study
    index: pd.DataFrame

    @cached_property
    def cells(self) -> dict[Cell, pd.DataFrame]:
        """Each cell's runs by seed."""
        cells = parts_of(self.index, "dataset", "model", "method")
        return {Cell(*place): runs.set_index("seed").sort_index() for place, runs in cells}

    @cached_property
    def _splits(self) -> dict[str, Splits]:
        """Of each data set, with as many training rows a test row in all its splits."""
        return {name: splits_of(runs) for name, runs in parts_of(self.index, "dataset")}

    def has(self, point: Point, method: str) -> bool:
        """Whether the study has a method there."""
        return self.study.regimes.cell_of(point, method) in self.cells

    def values(self, point: Point, method: str, column: str) -> pd.Series[float]:
        """A column of a cell's runs by seed, but for those that failed."""
        runs = self.cells[self.study.regimes.cell_of(point, method)]
        values: pd.Series[float] = runs[column][runs["status"] == "ok"].dropna()
        return values

    def gains(self, point: Point, method: str, over: str, metric: str) -> pd.Series[float]:
        """Of a method over another, by the seeds that both have; more is better."""
        both = [self.values(point, name, metric) for name in (method, over)]
        pairs = pd.concat(both, axis=1, join="inner")
        if len(pairs) < 2:
            return pd.Series(dtype=float)
        ours, other = pairs.to_numpy().T
        higher = METRICS[metric].higher_is_better
        return pd.Series(differences(ours, other, higher_is_better=higher), pairs.index)

    def against(self, values: pd.Series[float], bound: float, *cells: Cell) -> Comparison | None:
        """Values by seed against a number; None where a run failed, or there is but one seed.

        Args:
            cells: whose runs they are.
        """
        if len(values) < max(2, len(self.study.seeds)):
            return None
        return compare(
            values.to_numpy(),
            np.full(len(values), bound),
            higher_is_better=True,
            confidence=self.study.config.statistics.confidence,
            splits=self._splits[cells[0].dataset].of[values.index].to_numpy(),
            test_to_train=self.overlap(*cells),
        )

    def overlap(self, *cells: Cell) -> float:
        """Test rows for each training row: the most that one of the cells has."""
        return max(self._splits[cell.dataset].test_to_train for cell in cells)


def name_of(study: Study, method: str) -> str:
    """What tables and figures call a method of the regimes."""
    if method == CLEAN_PART:
        return f"{study.label(BASE)}, clean part"
    return study.label(method)


def kind_of(study: Study, method: str) -> str:
    """What a method knows: by what it says of itself a search, a fixed loss, or an oracle.

    An oracle is given what a search looks for: the clean labels, or weights of the region.
    """
    if method == CLEAN_PART or study.settings(method)["method"].get("inside"):
        return ORACLE
    return FIXED if study.entry(method).info.given else SEARCH


def map_frame(study: Study, index: pd.DataFrame) -> pd.DataFrame:
    """A row for each point, method and metric: its gain over cross-entropy there.

    `resolved` is the smallest true gain that would be found with a chance of 0.8, given the sd.
    """
    runs = Runs(study, index)
    frame = pd.DataFrame(_map_rows(runs)).reindex(columns=[*MAP_COLUMNS, "sd", "overlap"])
    for _, family in frame.groupby(["method", "metric"], sort=False):
        _correct(frame, family.index)
    alpha = study.config.statistics.alpha
    frame["significant"] = (frame["p_holm"] < alpha) & (frame["p_t_holm"] < alpha)
    tested = frame.groupby(["method", "metric"])["p"].transform("count")
    frame["resolved"] = [
        _resolved(row, int(family), alpha)
        for row, family in zip(frame.to_dict("records"), tested, strict=True)
    ]
    return frame[MAP_COLUMNS]


def _map_rows(runs: Runs) -> Iterator[dict[str, object]]:
    design = runs.study.regimes
    for point in design.points:
        noise = point.noise
        about: dict[str, object] = {
            "point": point.name,
            "data": point.data,
            "what": point.label,
            "where": noise.where if noise else NOWHERE,
            "share": noise.share if noise else 0.0,
            "parts": len(noise.parts) if noise else 0,
            "rows": point.rows,
            "positives": point.positives,
        }
        methods = [m for m in design.run_at(point) if m != BASE and runs.has(point, m)]
        for method in methods if runs.has(point, BASE) else ():
            for metric in DECIDING:
                value = runs.values(point, method, metric).mean()
                row = {**about, "method": method, "label": name_of(runs.study, method)}
                row |= {"metric": metric, "value": value}
                cells = [design.cell_of(point, name) for name in (method, BASE)]
                gain = runs.against(runs.gains(point, method, BASE, metric), 0.0, *cells)
                row |= {"sd": gain.sd, "overlap": runs.overlap(*cells)} if gain else {}
                yield row | _numbers(gain)


def _numbers(gain: Comparison | None) -> dict[str, float]:
    if gain is None:
        return {}
    interval = {"n": gain.n, "mean": gain.gain, "low": gain.low, "high": gain.high}
    return interval | {name: getattr(gain, test) for name, test in TESTS.items()}


def _correct(frame: pd.DataFrame, family: pd.Index[Any]) -> None:
    """Holm over a family, rows of the frame, for each of the two tests."""
    for p in TESTS:
        frame.loc[family, f"{p}_holm"] = holm(frame.loc[family, p].to_numpy(dtype=float))


def _resolved(row: dict[Any, Any], comparisons: int, alpha: float) -> float:
    if pd.isna(row["sd"]):
        return float("nan")
    design = Design(float(row["sd"]), 0.0, comparisons, alpha, float(row["overlap"]))
    found = design.resolved(int(row["n"]))
    return float("nan") if found is None else found


def predictions_frame(study: Study, index: pd.DataFrame) -> pd.DataFrame:
    """A row for all that each prediction expects, at each point: what came of it.

    A row came true where both tests say by themselves that it is beyond its number; it failed where
    its interval is on the other side; else it is open. A prediction came true as a whole where all
    of its rows did, and the largest p of each test, Holm-corrected over the predictions, says so
    still; it failed where any of it did.
    """
    runs = Runs(study, index)
    rows = [row for p in study.regimes.predictions for e in p.expect for row in _found(runs, p, e)]
    frame = pd.DataFrame(rows).reindex(columns=[*PREDICTED_COLUMNS, "ahead"])
    frame = frame.astype(dict.fromkeys((*TESTS, "ahead"), float))  # of none they are no numbers
    alpha, ahead = study.config.statistics.alpha, frame["ahead"]
    shown = (frame[[*TESTS]] < alpha).all(axis=1)
    frame["outcome"] = np.select([shown & (ahead > 0), ahead < 0], [HELD, FAILED], OPEN)
    whole = pd.DataFrame(
        {
            "prediction": name,
            **{p: part[p].max(skipna=False) for p in TESTS},
            "held": bool((part["outcome"] == HELD).all()),
            "failed": bool((part["outcome"] == FAILED).any()),
        }
        for name, part in parts_of(frame, "prediction")
    ).reindex(columns=["prediction", *TESTS, "held", "failed"])
    whole = whole.astype({"held": bool, "failed": bool})
    _correct(whole, whole.index)
    held = whole["held"] & (whole[[f"{p}_holm" for p in TESTS]] < alpha).all(axis=1)
    whole["as_a_whole"] = np.select([whole["failed"], held], [FAILED, HELD], OPEN)
    added = [*(f"{p}_holm" for p in TESTS), "as_a_whole"]
    joined = frame.drop(columns=added).merge(whole[["prediction", *added]], on="prediction")
    return joined[PREDICTED_COLUMNS]


def _found(runs: Runs, prediction: Prediction, expected: Expectation) -> Iterator[dict[str, Any]]:
    """What there is of an expectation, at each of its points that the study has.

    `ahead`: 1 if the mean is beyond the number, -1 if the whole interval is on the other side.
    """
    design = runs.study.regimes
    for place in expected.at:
        points = [design.point(name) for name in (place, expected.than) if name is not None]
        row = {
            "prediction": prediction.name,
            "point": place,
            "expected": said(runs.study, expected),
        }
        methods = [method for method in (expected.of, expected.over) if method is not None]
        cells = [design.cell_of(point, method) for point in points for method in methods]
        found = None
        weight = WEIGHT + (expected.candidate or "")  # of no run where the study has none such
        if all(c in runs.cells for c in cells) and (expected.over or weight in runs.index):
            values = [_value(runs, expected, point) for point in points]
            value = values[0] if len(values) == 1 else (values[0] - values[1]).dropna()
            found = runs.against(value, expected.bound, *cells)
        if found is None:
            yield row
            continue
        sign = 1 if expected.above is not None else -1
        beyond = sorted((sign * found.low, sign * found.high))
        ahead = 1 if sign * found.gain > 0 else -1 if beyond[1] < 0 else 0
        numbers = _numbers(found)
        numbers |= {key: numbers[key] + expected.bound for key in ("mean", "low", "high")}
        yield row | numbers | {"ahead": ahead}


def _value(runs: Runs, expected: Expectation, point: Point) -> pd.Series[float]:
    if expected.over is not None:
        return runs.gains(point, expected.of, expected.over, expected.metric)
    return runs.values(point, expected.of, f"{WEIGHT}{expected.candidate}")


def said(study: Study, expected: Expectation) -> str:
    """What is expected, in words."""
    of = name_of(study, expected.of)
    if expected.over is not None:
        metric = METRICS[expected.metric].label
        what = f"gain of {of} over {name_of(study, expected.over)}, {metric}"
    else:
        what = f"weight of {expected.candidate} by {of}"
    what += f", more than at {expected.than}" if expected.than else ""
    side = "above" if expected.above is not None else "below"
    return f"{what}: {side} {expected.bound:g}"
