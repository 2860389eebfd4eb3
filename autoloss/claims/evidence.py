"""What the runs say to a claim: its comparisons, and the paired differences behind each."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from autoloss.claims.margins import Array
from autoloss.claims.measures import MEASURES
from autoloss.claims.schema import Claim, Registry
from autoloss.errors import RecordError
from autoloss.records.index import CELL, RUN
from autoloss.stats.paired import differences
from autoloss.study import Study

OTHER_PROTOCOL = "other protocol"
FAILED = "failed runs"


@dataclass(frozen=True)
class Question:
    """One comparison that a claim asks for, in this study; `dataset` None where none stands in."""

    claim: Claim
    metric: str
    counts: bool
    data: str
    dataset: str | None
    model: str
    ours: str
    other: str
    minimum: float
    published: float | None


@dataclass(frozen=True)
class Answer:
    """The paired gains, by seed; or why there are none, and how many seeds have both runs."""

    gains: pd.Series[float] | None
    n: int
    reason: str = ""

    @property
    def d(self) -> Array:
        """The paired gains [n]."""
        assert self.gains is not None
        return np.asarray(self.gains, dtype=np.float64)


def questions(study: Study, registry: Registry, claim: Claim, runs: pd.DataFrame) -> list[Question]:
    """All comparisons of a claim, on each of our data sets that stands for one of the paper's."""
    have = list(dict.fromkeys(runs["dataset"])) if len(runs) else []
    stand_in = {name: study.dataset(name).stands_for for name in have}
    return [
        Question(
            claim,
            metric,
            metric in claim.metrics,
            data,
            dataset,
            model,
            study.plain(ours),
            study.plain(other),
            registry.minimum(claim, metric),
            registry.stated(claim, metric, (data, model, ours, other)),
        )
        for metric in (*claim.metrics, *claim.beside)
        for data, model, ours, other in claim.pairs()
        for dataset in [name for name, paper in stand_in.items() if paper == data] or [None]
    ]


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


def answer(study: Study, question: Question, runs: pd.DataFrame) -> Answer:
    """The paired gains of a comparison, in the metric's good direction."""
    claim = question.claim
    if claim.protocol not in (None, study.config.protocol):
        return Answer(None, 0, f"{OTHER_PROTOCOL}: asks for the {claim.protocol} one")
    if runs.empty:
        return Answer(None, 0, f"missing: nothing of {' and '.join(claim.groups)} has been run")
    if question.dataset is None:
        return Answer(None, 0, f"missing: no data set here stands for {question.data}")
    cell = runs[(runs["dataset"] == question.dataset) & (runs["model"] == question.model)]
    pair = [cell[cell["method"] == method] for method in (question.ours, question.other)]
    missing = [
        m for m, part in zip((question.ours, question.other), pair, strict=True) if part.empty
    ]
    if missing:
        place = f"{question.dataset}/{question.model}"
        return Answer(None, 0, f"missing: no runs of {' and '.join(missing)} on {place}")
    ours, other = (_values(question.metric, part) for part in pair)
    if set(ours.index) != set(other.index):
        odd = sorted(set(ours.index) ^ set(other.index))
        mend = "run `snakemake --cores all claims`"
        raise RecordError(f"{question.ours}, {question.other}", f"unpaired seeds {odd}", mend)
    complete = ours.notna() & other.notna()
    if not complete.all():
        return Answer(None, int(complete.sum()), FAILED)
    if len(ours) < 2:
        return Answer(None, len(ours), "a single seed")
    higher = MEASURES[question.metric].higher_is_better
    d = differences(ours.to_numpy(), other.to_numpy(), higher_is_better=higher)
    return Answer(pd.Series(d, index=ours.index), len(d))


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
