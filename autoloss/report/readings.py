"""The sensitivity study: what each reading of an open choice does to our method, alone.

Three questions per data set and metric. How far do our method's numbers move from the default
reading's? What does it gain over cross-entropy, both under the reading? And how near is the order
of the methods to the paper's Table 2 (Spearman's rank correlation)?
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from autoloss.claims.measures import DECIDING, MEASURES
from autoloss.methods.info import OWN
from autoloss.metrics import AUC_WEIGHTED, METRICS
from autoloss.report.frames import parts_of
from autoloss.report.published import Cells, load_published
from autoloss.stats import Splits, compare, holm, splits_of
from autoloss.study.study import Study
from autoloss.study.variants import AS_BUILT, DEFAULT, Reading

Array = NDArray[np.float64]

KEPT = (*DECIDING, "logloss")  # raw log loss is in the CSV alone
BASE = "ce"
COLUMNS = [
    *("dataset", "model", "reading", "choice", "label", "metric", "n", "value"),
    *("mean", "low", "high", "p", "p_holm", "p_t", "p_t_holm"),
    *("over_ce", "over_ce_low", "over_ce_high"),
    *("order", "order_change", "order_change_low", "order_change_high"),
]


@dataclass(frozen=True)
class Place:
    """One data set's runs of one metric: the value of every method and variant by seed."""

    study: Study
    runs: pd.DataFrame
    metric: str
    paper: dict[str, float]

    def values(self, method: str, reading: Reading | None) -> pd.Series[float]:
        """By seed, of a method under a reading; runs that failed are left out."""
        weighted = reading is not None and reading.auc == "weighted" and self.metric == "auc"
        name = reading.under(method) if reading else method
        column = AUC_WEIGHTED if weighted else self.metric
        runs = self.runs[self.runs["method"] == name].set_index("seed")
        return runs[column].dropna().sort_index()

    def gain(self, ours: pd.Series[float], other: pd.Series[float]) -> dict[str, float]:
        """Paired by seed: mean, interval, sign flips' p and t's; nothing where a run failed."""
        pairs = pd.concat([ours, other], axis=1, join="inner")
        if len(pairs) < max(2, len(self.seeds)):
            return {}
        gain = compare(
            pairs.iloc[:, 0].to_numpy(),
            pairs.iloc[:, 1].to_numpy(),
            higher_is_better=METRICS[self.metric].higher_is_better,
            confidence=self.study.config.statistics.confidence,
            **self.splits.options(pairs.index),
        )
        interval = {"mean": gain.gain, "low": gain.low, "high": gain.high}
        return {**interval, "p": gain.p_permutation, "p_t": gain.p_t}

    def order(self, reading: Reading | None, seeds: NDArray[np.int64]) -> Array:
        """Rank correlation with the paper's order, per row of `seeds`, over whose runs means are.

        Of the methods that the paper has; nan where fewer than three have been run.
        """
        methods = [m for m in self.study.sensitivity.order if m in self.paper]
        by_method = [self.values(method, reading).to_numpy() for method in methods]
        if len(by_method) < 3 or any(len(values) < len(self.seeds) for values in by_method):
            return np.full(len(seeds), np.nan)
        ours = stats.rankdata(np.stack([v[seeds].mean(axis=1) for v in by_method], axis=1), axis=1)
        paper = stats.rankdata([self.paper[method] for method in methods])
        return _correlation(ours, paper)

    @property
    def seeds(self) -> range:
        """All that there should be."""
        return self.study.seeds

    @cached_property
    def splits(self) -> Splits:
        """Which split each seed's runs are of."""
        return splits_of(self.runs)

    @cached_property
    def resamples(self) -> NDArray[np.int64]:
        """The runs as they are, then bootstrap resamples of them: the same for every method."""
        count = len(self.seeds)
        draws = np.random.default_rng(0).integers(
            0, count, (self.study.config.statistics.resamples, count)
        )
        return np.concatenate([np.arange(count)[None], draws])


def sensitivity_frame(study: Study, index: pd.DataFrame) -> pd.DataFrame:
    """A row per data set, metric and reading, the default's first; effects are gains."""
    published = load_published(study.root).table_2
    rows = [row for place in _places(study, index, published) for row in _rows(place)]
    frame = pd.DataFrame(rows).reindex(columns=COLUMNS)
    for metric in KEPT:  # Holm's family: the readings of all data sets, by metric
        own = frame["metric"] == metric
        for p in ("p", "p_t"):
            frame.loc[own, f"{p}_holm"] = holm(frame.loc[own, p].to_numpy(dtype=float))
    return frame


def nearest(frame: pd.DataFrame, metric: str = "auc") -> tuple[str, float, float]:
    """The reading whose order is nearest the paper's: label, correlation, the default's.

    Correlations are means over the data sets; a reading that one of them lacks is left out.
    """
    rows = frame[frame["metric"] == metric]
    everywhere = rows.groupby("reading")["order"].count() == rows["dataset"].nunique()
    orders = rows.groupby("reading", sort=False)["order"].mean()[everywhere]
    best = str(orders.idxmax())
    label = rows.loc[rows["reading"] == best, "label"].iloc[0]
    return str(label), float(orders[best]), float(orders[DEFAULT])


def _places(study: Study, index: pd.DataFrame, published: Cells) -> Iterator[Place]:
    runs = index[index["status"] == "ok"]
    for (dataset, model), cell in parts_of(runs, "dataset", "model"):
        paper = published.of(study.dataset(dataset).stands_for, model)
        for metric in KEPT:
            values = paper.get(MEASURES[metric].published, {})
            stated = {str(method): value for method, value in values.items()}
            yield Place(study, cell, metric, stated)


def _rows(place: Place) -> Iterator[dict[str, object]]:
    first = place.runs.iloc[0]
    about = {"dataset": first["dataset"], "model": first["model"], "metric": place.metric}
    usual, usual_order = place.values(OWN, None), place.order(None, place.resamples)
    for reading in _readings(place):
        ours, order = place.values(OWN, reading), place.order(reading, place.resamples)
        over = place.gain(ours, place.values(BASE, reading))
        row: dict[str, object] = {"reading": DEFAULT, "choice": "", "label": AS_BUILT}
        if reading is not None:
            row = {"reading": reading.name, "choice": reading.choice, "label": reading.label}
            row |= place.gain(ours, usual)
        row |= {
            "over_ce" if k == "mean" else f"over_ce_{k}": v
            for k, v in over.items()
            if k in ("mean", "low", "high")
        }
        row |= {"order": order[0], **_change(order - usual_order, place.study)}
        yield {**about, "n": len(ours), "value": ours.mean(), **row}


def _change(orders: Array, study: Study) -> dict[str, float]:
    """Of the rank correlation: as the runs are, and its percentile bootstrap interval."""
    tail = (1 - study.config.statistics.confidence) / 2
    low, high = np.quantile(orders[1:], (tail, 1 - tail))
    return {"order_change": orders[0], "order_change_low": low, "order_change_high": high}


def _readings(place: Place) -> Sequence[Reading | None]:
    """The default, and those that this data set and metric can be read by."""
    can_weigh = place.metric == "auc" and place.runs[AUC_WEIGHTED].notna().any()
    every = place.study.sensitivity.readings
    return [None, *(r for r in every if r.auc == "macro" or can_weigh)]


def _correlation(rows: Array, other: Array) -> Array:
    """Pearson's, of every row with `other`; nan for a row of equal values."""
    x, y = rows - rows.mean(axis=1, keepdims=True), other - other.mean()
    with np.errstate(invalid="ignore"):
        correlation: Array = (x @ y) / np.sqrt((x**2).sum(axis=1) * (y**2).sum())
    return correlation
