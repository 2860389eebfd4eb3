"""In how many cells our method is better, worse or neither: counts of the tests' verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd

from autoloss.metrics import METRICS
from autoloss.registry import UNTESTED
from autoloss.report.evidence import Evidence, label_of
from autoloss.report.grids import Grid, Item
from autoloss.report.products import read_comparisons
from autoloss.report.tables import TITLES
from autoloss.study import Study

CE = "ce"
GROUP_TITLES = {
    **TITLES,
    "figure_3": "Figure 3: the frozen controller elsewhere",
    "figure_4": "Figure 4: methods timed, and AutoLoss by the frequency of outer steps",
}
# What a comparison can come to, and how a sentence says it.
BETTER, WORSE, NONE, TOO_FEW, FAILED = OUTCOMES = (
    "better",
    "worse",
    "no difference shown",
    "too few seeds",
    "failed runs",
)
PHRASES = {
    BETTER: "significantly better in {}",
    WORSE: "significantly worse in {}",
    NONE: "no difference shown in {}",
    TOO_FEW: "too few seeds for significance in {}",
    FAILED: "not assessable for failed runs in {}",
}
ELSEWHERE = {  # said of a whole group only where it occurred
    TOO_FEW: "{} had too few seeds for significance",
    FAILED: "{} could not be assessed, for failed runs",
}


@dataclass(frozen=True)
class Against:
    """Our method against another, or the best one of each cell: a sentence per metric."""

    whom: str
    sentences: Mapping[str, str]


@dataclass(frozen=True)
class Outcomes:
    """A group's comparisons, counted: one sentence on all, some per metric, a grid per method."""

    group: str
    title: str
    summary: str
    against: tuple[Against, ...]
    grid: Grid


def all_outcomes(evidence: Evidence) -> list[Outcomes]:
    """Those of every group that is there."""
    study = evidence.study
    tested = [group for group in evidence.groups if group not in UNTESTED]
    read = {group: read_comparisons(study, group) for group in tested}
    return [outcomes(study, group, found) for group, found in read.items() if len(found)]


def outcomes(study: Study, group: str, comparisons: pd.DataFrame) -> Outcomes:
    """A group's comparisons, counted."""
    found = comparisons.assign(outcome=[_outcome(str(v)) for v in comparisons["verdict"]])
    ours = label_of(study, study.ours(group))
    against = {f"{ours} against the best other method of each cell": found[found["best_other"]]}
    if (found["other"] == CE).any():
        against = {f"{ours} against {label_of(study, CE)}": found[found["other"] == CE], **against}
    sentences = (
        Against(whom, {m.label: _phrase(_count(p, name)) for name, m in METRICS.items()})
        for whom, p in against.items()
    )
    return Outcomes(
        group,
        GROUP_TITLES[group],
        _summary(study, ours, found),
        tuple(sentences),
        _grid(study, group, ours, found),
    )


def _outcome(verdict: str) -> str:
    """A verdict of the statistics without its reasons."""
    reasons = {"cannot be significant": TOO_FEW, "not assessable": FAILED}
    return next((short for start, short in reasons.items() if verdict.startswith(start)), verdict)


def _count(part: pd.DataFrame, metric: str) -> Counter[str]:
    return Counter(part["outcome"][part["metric"] == metric])


def _phrase(counts: Counter[str]) -> str:
    """Counts of cells in words; what did not occur is not said."""
    total = counts.total()
    if not total:
        return "not compared"
    named = {outcome: _of(counts[outcome], total) for outcome in OUTCOMES if counts[outcome]}
    return ", ".join(PHRASES[outcome].format(text) for outcome, text in named.items())


def _of(n: int, total: int) -> str:
    cells = _many(total, "cell")
    return f"all {cells}" if n == total > 1 else f"{n} of {cells}"


def _summary(study: Study, ours: str, found: pd.DataFrame) -> str:
    """One sentence on the comparisons with CE, or on all where there is none with CE."""
    with_ce = found[found["other"] == CE]
    part, whom = (with_ce, label_of(study, CE)) if len(with_ce) else (found, "the other methods")
    cells = len(part[["dataset", "model"]].drop_duplicates())
    metrics, counts = part["metric"].nunique(), Counter(part["outcome"])
    others = [
        text.format(counts[outcome]) for outcome, text in ELSEWHERE.items() if counts[outcome]
    ]
    said = [f"in {counts[NONE]} no difference is shown", *others]
    return (
        f"Against {whom}, {ours} is significantly better in {counts[BETTER]} of "
        f"{_many(len(part), 'comparison')} and significantly worse in {counts[WORSE]}; "
        f"{'; '.join(said)}. ({_many(cells, 'cell').capitalize()}, each a data set and a model, by "
        f"{_many(metrics, 'metric')}.)"
    )


def _many(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"


def _grid(study: Study, group: str, ours: str, found: pd.DataFrame) -> Grid:
    """A row per other method: how many cells came to what, by metric."""
    shown = [o for o in OUTCOMES if o in OUTCOMES[:3] or (found["outcome"] == o).any()]
    columns = [(metric.label, outcome) for metric in METRICS.values() for outcome in shown]
    body = []
    for other in found["other"].unique():
        part, items = found[found["other"] == other], [Item(label_of(study, other))]
        for metric in METRICS:
            counts = _count(part, metric)
            marks = {BETTER: "good", WORSE: "bad"}
            items += [
                Item(str(n), n, f"#{group}" if n else "", mark=marks.get(o, "") if n else "")
                for o in shown
                for n in [counts[o]]
            ]
        body.append(items)
    return Grid(f"{ours} against each other method: number of cells", "against", columns, body)
