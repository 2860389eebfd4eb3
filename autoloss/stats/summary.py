"""From the index of runs to the statistics behind the paper's tables 1-3.

`describe` gives the numbers in the cells, `compare_family` the stars. The index has one row per
run (`dataset, model, method, seed, status`) and one column per metric. Runs are paired by seed; a
hole in the grid is an error with the missing seeds named, and a failed run is never dropped.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import pandas as pd

from autoloss.errors import RecordError, did_you_mean
from autoloss.metrics import METRICS
from autoloss.significance import can_be_significant, seeds_needed
from autoloss.stats.correction import holm
from autoloss.stats.paired import Comparison, compare
from autoloss.stats.splits import splits_of

CELL = ["dataset", "model", "method"]
COLUMNS = [
    *("metric", "dataset", "model", "ours", "other"),
    *(field.name for field in fields(Comparison)),
    *("p_holm", "p_t_holm", "comparisons", "best_other", "significant", "verdict"),
]
MEND = "run `snakemake --cores all`; it makes the missing runs and rebuilds the index"


def describe(index: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """Per dataset, model, method and metric: n and mean, sd (ddof 1) of the runs that are ok.

    A method that has no recalibrated log loss has no row for it.
    """
    _check_runs(index, metrics)
    parts = []
    for metric in metrics:
        runs = _measured(index, metric)
        ok = runs.assign(value=runs[metric].where(runs["status"] == "ok"))
        cells = ok.groupby(CELL, sort=False)
        part = cells["value"].agg(n="count", mean="mean", sd="std")
        part["failed"] = cells["status"].agg(lambda status: int((status == "failed").sum()))
        parts.append(part.reset_index().assign(metric=metric))
    table = pd.concat(parts, ignore_index=True)
    return table[[*CELL, "metric", "n", "mean", "sd", "failed"]]


def compare_family(
    index: pd.DataFrame,
    ours: Sequence[str],
    metrics: Sequence[str],
    *,
    alpha: float = 0.05,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Each of `ours` against every other method in every cell, Holm-corrected within each metric.

    Two of `ours` are compared once, as the earlier against the later. All comparisons of a metric
    are one family. A method that has no recalibrated log loss is not compared by it: no row, and
    none for Holm.

    Args:
        index: the runs. Of several splits (`split`) each is a pair, with one `test_to_train`.
        ours: the methods that a claim is about.
        metrics: names in `METRICS`.
        alpha: of the two tests that must agree: sign flips, and the corrected t test.
        confidence: of the intervals.

    Raises:
        RecordError: a method has no run, or not every seed; a run is twice or hollow; or as
            `splits_of`.
    """
    _check_runs(index, metrics)
    methods = list(index["method"].unique())
    for method in ours:
        if method not in methods:
            raise RecordError("index", f"no run of '{method}'", did_you_mean(method, methods))
    _check_grid(index)
    families = [_family(index, ours, metric, alpha, confidence) for metric in metrics]
    return pd.concat(families, ignore_index=True)


def _family(
    index: pd.DataFrame, ours: Sequence[str], metric: str, alpha: float, confidence: float
) -> pd.DataFrame:
    """All comparisons of one metric: what Holm corrects for."""
    rows = list(_comparisons(index, ours, metric, confidence))
    table = pd.DataFrame(rows, columns=[*COLUMNS, "pairs"])
    for p, adjusted in (("p_permutation", "p_holm"), ("p_t", "p_t_holm")):
        table[adjusted] = holm(table[p].to_numpy(dtype=float))
    table["comparisons"] = int(table["p_permutation"].notna().sum())
    table["significant"] = (table["p_holm"] < alpha) & (table["p_t_holm"] < alpha)
    table["best_other"] = table["best_other"].astype(bool)
    table["verdict"] = [_verdict(row, alpha) for row in table.to_dict("records")]
    return table[COLUMNS]


def _comparisons(
    index: pd.DataFrame, ours: Sequence[str], metric: str, confidence: float
) -> Iterator[dict[str, Any]]:
    """One row per cell and pair; a row without `p_permutation` was not assessable."""
    higher = METRICS[metric].higher_is_better
    runs = _measured(index, metric)
    values = runs.assign(value=runs[metric].where(runs["status"] == "ok"))
    for (dataset, model), cell in values.groupby(["dataset", "model"], sort=False):
        by_seed = cell.pivot(index="seed", columns="method", values="value").sort_index()
        others = [method for method in cell["method"].unique() if method not in ours]
        splits = splits_of(cell)
        options = {"confidence": confidence, **splits.options(by_seed.index)}
        best = _best(by_seed[others], higher)
        for method, other in _pairs([method for method in ours if method in by_seed], others):
            row = {"metric": metric, "dataset": dataset, "model": model, "ours": method}
            row |= {"other": other, "best_other": other == best, "pairs": splits.pairs}
            yield row | _compare_pair(by_seed[method], by_seed[other], higher, options)


def _pairs(ours: Sequence[str], others: Collection[str]) -> Iterator[tuple[str, str]]:
    """Each of ours with every other method, then with those of ours that come after it."""
    for place, method in enumerate(ours):
        for other in (*others, *ours[place + 1 :]):
            yield method, other


def _best(by_seed: pd.DataFrame, higher: bool) -> object:
    """The column with the best mean; None where none has any.

    A method with some failed runs may be the best: a star over the second best would flatter.
    """
    means = by_seed.mean().dropna()
    if means.empty:
        return None
    return means.idxmax() if higher else means.idxmin()


def _compare_pair(
    ours: pd.Series[float], other: pd.Series[float], higher: bool, options: dict[str, Any]
) -> dict[str, Any]:
    """The fields of a Comparison that can be had."""
    complete = ours.notna() & other.notna()
    if not complete.all():
        return {"n": int(complete.sum())}
    if len(ours) < 2:  # a single sign flips freely, so p = 1; nothing else is defined
        gain = float((ours - other).iloc[0]) * (1 if higher else -1)
        return {"n": len(ours), "gain": gain, "p_permutation": 1.0}
    return asdict(compare(ours.to_numpy(), other.to_numpy(), higher_is_better=higher, **options))


def _verdict(row: Mapping[Hashable, Any], alpha: float) -> str:
    """The comparison in words."""
    if pd.isna(row["p_permutation"]):
        return "not assessable: failed runs"
    if row["significant"]:
        return "better" if row["gain"] > 0 else "worse"
    n, comparisons = row["n"], row["comparisons"]
    if not can_be_significant(n, comparisons, alpha):
        needed = seeds_needed(comparisons, alpha)
        pairs = f"{n} {row['pairs']}"
        return f"cannot be significant with {pairs}: a family of {comparisons} needs {needed}"
    return "no difference shown"


def _measured(index: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The runs of the cells that have a metric.

    Derived ones a cell may be without: then none of its runs that are ok has a value.
    """
    if not METRICS[metric].derived:
        return index
    cells = index.assign(ok=index["status"] == "ok", has=index[metric].notna()).groupby(CELL)
    return index[cells["has"].transform("any") | ~cells["ok"].transform("any")]


def _check_runs(index: pd.DataFrame, metrics: Iterable[str]) -> None:
    """Known metrics, one row per run, known states, and a value for every run that is ok."""
    for metric in metrics:
        known = [name for name in METRICS if name in index.columns]
        if metric not in known:
            raise RecordError("index", f"no metric '{metric}'", did_you_mean(metric, known))
        runs = _measured(index, metric)
        hollow = runs[(runs["status"] == "ok") & runs[metric].isna()]
        if len(hollow):
            raise RecordError(_name(hollow), f"ok, but {metric} is missing", MEND)
    odd = index[~index["status"].isin(["ok", "failed"])]
    if len(odd):
        found = ", ".join(map(str, odd["status"].unique()))
        raise RecordError(_name(odd), f"status must be ok or failed, found {found}", MEND)
    twice = index[index.duplicated([*CELL, "seed"])]
    if len(twice):
        raise RecordError(_name(twice), "more than one record for this run", MEND)


def _check_grid(index: pd.DataFrame) -> None:
    """Every method has every seed of its (dataset, model): pairs need both halves."""
    methods = list(index["method"].unique())
    holes = []
    for (dataset, model), cell in index.groupby(["dataset", "model"], sort=False):
        expected = set(cell["seed"].tolist())
        for method in methods:
            missing = sorted(expected - set(cell["seed"][cell["method"] == method].tolist()))
            if missing:
                holes.append(f"{dataset}/{model}/{method} lacks seeds {missing}")
    if holes:
        raise RecordError("index", "; ".join(holes), MEND)


def _name(runs: pd.DataFrame) -> str:
    """The first of these runs, the way messages name it."""
    run = runs.iloc[0]
    return f"{run['dataset']}/{run['model']}/{run['method']} seed {run['seed']}"
