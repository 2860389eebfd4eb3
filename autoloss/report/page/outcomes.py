"""In how many cells our method is better, worse or neither: counts of the tests' verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from autoloss.claims.measures import DECIDING
from autoloss.metrics import METRICS
from autoloss.report.analysis import read_comparisons
from autoloss.report.catalogue import figures, tables
from autoloss.report.frames import parts_of
from autoloss.report.runs import Runs, label_of
from autoloss.report.table import Grid, Item
from autoloss.study.groups import UNTESTED
from autoloss.study.study import Study

CE = "ce"
BETTER, WORSE, NONE, TOO_FEW, FAILED = OUTCOMES = (  # what a comparison can come to
    "better",
    "worse",
    "no difference shown",
    "too few seeds",
    "failed runs",
)
REASONS = {"cannot be significant": TOO_FEW, "not assessable": FAILED}  # verdicts begin with these
ELSEWHERE = {  # said of a whole group only where it occurred
    TOO_FEW: "{} had too few seeds for significance",
    FAILED: "{} could not be assessed, for failed runs",
}


@dataclass(frozen=True)
class Outcomes:
    """Comparisons of a group and a method of ours: one sentence on all, and counts in a grid."""

    group: str
    title: str
    summary: str
    grid: Grid


def title_of(study: Study, group: str) -> str:
    """What the report calls a group of runs: as the table or figure of its name."""
    return {**figures(), **tables()}[group].titled(study.label(study.subject))


def all_outcomes(runs: Runs) -> list[Outcomes]:
    """Those of every group that is there and tested."""
    tested = {g: read_comparisons(runs.study, g) for g in runs.groups if g not in UNTESTED}
    return [
        outcomes(runs.study, group, part)
        for group, table in tested.items()
        for _, part in parts_of(table, "ours")
    ]


def outcomes(study: Study, group: str, comparisons: pd.DataFrame) -> Outcomes:
    """A group's comparisons of one method of ours, counted."""
    words = [
        next((word for start, word in REASONS.items() if verdict.startswith(start)), verdict)
        for verdict in comparisons["verdict"].astype(str)
    ]
    counted, ours = comparisons.assign(outcome=words), label_of(study, comparisons["ours"].iloc[0])
    shown = [o for o in OUTCOMES if o in OUTCOMES[:3] or o in words]
    columns = [(metric.label, outcome) for metric in METRICS.values() for outcome in shown]
    parts = [(label_of(study, other), part) for other, part in parts_of(counted, "other")]
    parts.append(("the best other of each cell", counted[counted["best_other"]]))
    body = [[Item(label), *_counts(part, shown, f"#{group}")] for label, part in parts]
    caption = f"{ours} against each other method: number of cells"
    grid = Grid(caption, "against", columns, body)
    return Outcomes(
        group, f"{title_of(study, group)}: {ours}", _summary(study, ours, counted), grid
    )


def _counts(part: pd.DataFrame, shown: list[str], href: str) -> Iterator[Item]:
    """How many cells came to what, by metric."""
    for metric in METRICS:
        counts = Counter(part["outcome"][part["metric"] == metric])
        for outcome in shown:
            n, mark = counts[outcome], {BETTER: "good", WORSE: "bad"}.get(outcome, "")
            yield Item(str(n), n, href, mark=mark) if n else Item("0", 0)


def _summary(study: Study, ours: str, counted: pd.DataFrame) -> str:
    """One sentence on the comparisons with CE, or on all where there is none with CE.

    By the metrics that decide a claim: raw log loss says little of losses that are not calibrated.
    """
    counted = counted[counted["metric"].isin(DECIDING)]
    with_ce = counted[counted["other"] == CE]
    part, whom = (with_ce, label_of(study, CE)) if len(with_ce) else (counted, "the other methods")
    cells = len(part[["dataset", "model"]].drop_duplicates())
    counts = Counter(part["outcome"])
    others = [text.format(counts[o]) for o, text in ELSEWHERE.items() if counts[o]]
    said = [f"in {counts[NONE]} no difference is shown", *others]
    return (
        f"Against {whom}, {ours} is significantly better in {counts[BETTER]} of "
        f"{_many(len(part), 'comparison')} and significantly worse in {counts[WORSE]}; "
        f"{'; '.join(said)}. ({_many(cells, 'cell').capitalize()}, each a data set and a model, by "
        "AUC and recalibrated log loss.)"
    )


def _many(n: int, thing: str) -> str:
    return f"{n} {thing}" if n == 1 else f"{n} {thing}s"
