"""What the runs say to a claim: its comparisons, and the paired differences behind each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from autoloss.claims.measures import MEASURES
from autoloss.claims.schema import Claim, Registry, unmet
from autoloss.claims.verdict import Row
from autoloss.data.specs import dataset_names
from autoloss.errors import RecordError
from autoloss.records.index import CELL, RUN, lacks
from autoloss.stats import Splits, splits_of
from autoloss.stats.paired import differences
from autoloss.study.study import Study


class Answer(NamedTuple):
    """The paired gains by seed; or why there are none, and how many seeds have both runs.

    `tried` says that there are runs, though not what a test takes. With gains come their splits.
    """

    gains: pd.Series[float] | None
    n: int
    reason: str = ""
    tried: bool = False
    splits: Splits | None = None


def questions(
    study: Study, registry: Registry, claim: Claim, methods: Sequence[str], runs: pd.DataFrame
) -> list[Row]:
    """All comparisons of a claim's `methods`, on each of our data sets that stands for its own.

    A claim may name ours itself. `dataset` is None where none stands for it.
    """
    stand_in = stand_ins(study, runs)
    rows = []
    for metric in (*claim.metrics, *claim.beside):
        for data, model, ours, other in claim.pairs(methods):
            standing = [name for name, paper in stand_in.items() if data in (name, paper)]
            for dataset in standing or (None,):
                row = Row(
                    metric=metric,
                    decides=metric in claim.metrics,
                    data=data,
                    dataset=dataset,
                    model=model,
                    ours=study.plain(ours),
                    other=study.plain(other),
                    published=registry.stated(claim, metric, (data, model, ours, other)),
                )
                if row.decides:
                    size, basis = registry.minimum(claim, metric)
                    row = row.model_copy(update={"minimum": size, "basis": basis})
                rows.append(row)
    return rows


def stand_ins(study: Study, runs: pd.DataFrame) -> dict[str, str]:
    """The paper's data set that each of the runs' stands for."""
    have = list(dict.fromkeys(runs["dataset"])) if len(runs) else []
    return {name: study.dataset(name).stands_for for name in have}


def evidence(claim: Claim, groups: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """The runs of a claim's groups, each once.

    Raises:
        RecordError: two groups have different runs of one cell and seed.
    """
    frames = [groups[group] for group in claim.groups if group in groups]
    if not frames:
        return pd.DataFrame(columns=[*RUN, "run_id", "status"])
    runs = pd.concat(frames, ignore_index=True).drop_duplicates("run_id")
    twice = runs[runs.duplicated(RUN)]
    if len(twice):
        row = twice.iloc[0]
        name = "/".join(str(row[key]) for key in CELL)
        mend = "run `snakemake --cores all claims`: it makes the indexes anew"
        raise RecordError(f"{name} seed {row['seed']}", "two indexes have different runs", mend)
    return runs


def answer(study: Study, claim: Claim, row: Row, runs: pd.DataFrame) -> Answer:
    """What the runs say to a comparison, in the metric's good direction."""
    if claim.protocol not in (None, study.config.protocol):
        return Answer(None, 0, f"missing: the {claim.protocol} protocol")
    if runs.empty:
        return Answer(None, 0, f"missing: nothing of {' and '.join(claim.groups)} has been run")
    if row.dataset is None and row.data in dataset_names(study.root):  # one of ours
        return Answer(None, 0, f"missing: no runs of {' and '.join(claim.groups)} on {row.data}")
    if row.dataset is None:
        return Answer(None, 0, f"missing: no data set here stands for {row.data}")
    if lacking := unmet(study, claim, stand_ins(study, runs)):
        return Answer(None, 0, f"missing: {lacking}")
    cell = runs[(runs["dataset"] == row.dataset) & (runs["model"] == row.model)]
    pair = {method: cell[cell["method"] == method] for method in (row.ours, row.other)}
    missing = [method for method, part in pair.items() if part.empty]
    if missing:
        place = f"{row.dataset}/{row.model}"
        return Answer(None, 0, f"missing: no runs of {' and '.join(missing)} on {place}")
    ours, other = (_values(row.metric, pair[method]) for method in (row.ours, row.other))
    if set(ours.index) != set(other.index):
        odd = sorted(set(ours.index) ^ set(other.index))
        mend = "run `snakemake --cores all claims`"
        raise RecordError(f"{row.ours}, {row.other}", f"unpaired seeds {odd}", mend)
    if without := [method for method, part in pair.items() if lacks(part, row.metric)]:
        return Answer(None, 0, f"missing: no {row.metric} of {' and '.join(without)}")
    complete = ours.notna() & other.notna()
    if not complete.all():
        return Answer(None, int(complete.sum()), "failed runs", tried=True)
    if len(ours) < 2:
        return Answer(None, len(ours), "a single seed", tried=True)
    higher = MEASURES[row.metric].higher_is_better
    d = differences(ours.to_numpy(), other.to_numpy(), higher_is_better=higher)
    splits = splits_of(pd.concat(pair.values()))
    return Answer(pd.Series(d, index=ours.index), len(d), splits=splits)


def _values(metric: str, part: pd.DataFrame) -> pd.Series[float]:
    """A measure of a cell's runs by seed, in the order of seeds; NaN where a run failed."""
    measure = MEASURES[metric]
    total = part.set_index("seed").sort_index()
    value = total[list(measure.columns)].sum(axis=1, skipna=False).where(total["status"] == "ok")
    return np.log(value) if measure.log else value


def digests(groups: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """Per group SHA-256 over the ids of its runs: whether a verdict rests on the runs at hand."""
    return {
        name: hashlib.sha256("\n".join(sorted(index["run_id"])).encode()).hexdigest()
        for name, index in groups.items()
    }
