"""From claims and runs to verdicts: measure each comparison once, then decide all together.

Nothing is chosen here that docs/statistics.md, "Verdicts", does not say.
"""

from __future__ import annotations

import math
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd

from autoloss.claims import rules
from autoloss.claims.measures import MEASURES
from autoloss.claims.power import Design
from autoloss.claims.questions import Answer, answer, digests, evidence, questions, stand_ins
from autoloss.claims.rows import Kept, row_errors
from autoloss.claims.schema import FILE, Claim, Registry, claims_of
from autoloss.claims.verdict import ClaimVerdict, Row, Summary, Verdicts
from autoloss.config import StatisticsOptions
from autoloss.stats import Splits, compare, splits_of
from autoloss.stats.rows import PARTS
from autoloss.study.study import Study


@dataclass(frozen=True)
class Asked:
    """A claim, or a reading of it (the name of a method), with what the runs say to each row."""

    claim: Claim
    reading: str
    rows: list[Row]
    answers: list[Answer]


def judge(
    study: Study, registry: Registry, groups: Mapping[str, pd.DataFrame], kept: Kept
) -> Verdicts:
    """A verdict on every claim, or on each of its readings, from the indexes that there are.

    What is `kept` of the runs' predictions says how much of a gain is the test rows'.

    Raises:
        RecordError, DataError: as `kept`, and as `evidence` and `answer`.
    """
    options, listed = study.config.statistics, registry.listed
    alpha, asked = options.alpha, list(ask(study, registry, groups))
    errors = row_errors(kept, _over_rows(asked))
    measured = [
        [
            measure(one.claim, row, said, options, errors.get(row.compared))
            for row, said in zip(one.rows, one.answers, strict=True)
        ]
        for one in asked
    ]
    tests = [test for rows in measured for _, test in rows if test]
    decided = iter(zip(tests, rules.decide(tests, alpha), strict=True))
    everything = pd.concat(groups.values()) if groups else pd.DataFrame(columns=["dataset", "seed"])
    by_data = everything.groupby("dataset")
    own = study.is_the_papers(everything["dataset"].unique())
    verdicts = []
    for one, of_claim in zip(asked, measured, strict=True):
        rows = [_decided(row, *next(decided), alpha) if test else row for row, test in of_claim]
        read_as = listed.readings.get(one.reading, "")
        verdicts.append(claim_verdict(one.claim, one.reading, read_as, rows, own))
    return Verdicts(
        claims_sha256=registry.sha256,
        claims_commit=claims_commit(study.root),
        history=listed.history,
        scale=study.config.scale,
        protocol=study.config.protocol,
        alpha=alpha,
        seeds=sorted(map(int, everything["seed"].unique())),
        splits=max((splits_of(runs).of.nunique() for _, runs in by_data), default=1),
        max_rows=study.config.study.max_rows,
        papers_own=own,
        stand_ins=stand_ins(study, everything),
        groups=digests(groups),
        families=dict(listed.families),
        claims=verdicts,
    )


def ask(study: Study, registry: Registry, groups: Mapping[str, pd.DataFrame]) -> Iterator[Asked]:
    """Every claim, and every reading of it, with what the runs say to each comparison."""
    for claim in claims_of(study, registry):
        runs = evidence(claim, groups)
        for methods in claim.judged:
            rows = questions(study, registry, claim, methods, runs)
            answers = [answer(study, claim, row, runs) for row in rows]
            yield Asked(claim, methods[0] if claim.readings else "", rows, answers)


def _over_rows(asked: Iterable[Asked]) -> Iterator[tuple[Row, Splits]]:
    """The comparisons that can be decided, with the splits of their runs."""
    for one in asked:
        for row, said in zip(one.rows, one.answers, strict=True):
            if row.decides and said.splits is not None:
                yield row, said.splits


def claims_commit(root: Path) -> str | None:
    """The commit that last changed the claims; None without one, or if they have changed since."""
    git = ("git", "--no-optional-locks", "-C", str(root))
    try:
        _run(*git, "diff", "--quiet", "HEAD", "--", str(FILE))
        return _run(*git, "log", "-1", "--format=%H", "--", str(FILE)) or None
    except (OSError, subprocess.CalledProcessError):
        return None


def _run(*command: str) -> str:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def measure(
    claim: Claim, row: Row, answer: Answer, options: StatisticsOptions, error: float | None = None
) -> tuple[Row, rules.Tested | None]:
    """A row with the numbers of its answer, and what its outcome takes, if it takes tests.

    `error` is its standard error over test rows.
    """
    if answer.gains is None or answer.splits is None:
        outcome = rules.OPEN if answer.tried else rules.MISSING
        update = {"n": answer.n, "outcome": outcome if row.decides else "", "detail": answer.reason}
        return row.model_copy(update=update), None
    d = np.asarray(answer.gains, dtype=np.float64)
    if MEASURES[row.metric].counted:
        gain, outcome = float(d.mean()), ""
        if row.minimum is not None:
            outcome = rules.HOLDS if gain >= row.minimum else rules.FAILS
        return row.model_copy(update={"n": answer.n, "gain": gain, "outcome": outcome}), None
    among = answer.splits.options(answer.gains.index)
    zero = compare(
        *(d, np.zeros_like(d)), higher_is_better=True, confidence=options.confidence, **among
    )
    names = ("n", "gain", "sd", "low", "high", "p_permutation", "p_t")
    update = {name: getattr(zero, name) for name in names}
    row = row.model_copy(update=update | {"test_to_train": answer.splits.test_to_train})
    if row.minimum is None:
        return row, None
    over_rows = 0.0
    if row.metric in PARTS:  # not to be had: no gain is known to be more than chance of the rows
        over_rows = math.inf if error is None else rules.ROW_ERRORS * error
    return row.model_copy(update={"test_rows_error": error}), rules.Tested(
        key=(row.dataset, row.model, row.ours, row.other),
        family=(claim.family, row.metric),
        minimum=row.minimum,
        zero=zero,
        least=compare(d, np.full_like(d, row.minimum), higher_is_better=True, **among),
        over_rows=over_rows,
    )


def _decided(row: Row, tested: rules.Tested, decision: rules.Decision, alpha: float) -> Row:
    """The row with what it comes to, and what its design can find."""
    sd, least = tested.zero.sd, tested.to_hold
    design = Design(sd, least, decision.of, alpha, row.test_to_train)
    update: dict[str, Any] = {
        "comparisons": decision.of,
        "questions": decision.questions,
        "p_holds": decision.p_holds,
        "p_fails": decision.p_fails,
        "p_worse": decision.p_worse,
        "resolved": design.resolved(row.n),
        "outcome": decision.outcome,
        "detail": "worse" if decision.p_worse < alpha else "",
    }
    if row.published is not None:
        update["chance"] = design.chance(row.published, row.n)
        update["seeds_needed"] = design.seeds_for(row.published)
    return row.model_copy(update=update)


def claim_verdict(
    claim: Claim, reading: str, read_as: str, rows: list[Row], own: bool
) -> ClaimVerdict:
    """What a claim's comparisons come to together, and by data set and metric."""
    places = [k for k, row in enumerate(rows) if row.decides]
    tally = _tally(rows, places)
    about = claim.model_dump(include={"id", "sentence", "origin", "section", "stated", "family"})
    return ClaimVerdict(
        **about,
        **tally,
        reading=reading,
        read_as=read_as,
        verdict=rules.WORDS[tally["outcome"]][own],
        rows=rows,
        summaries=list(_summaries(rows, places)),
    )


def _summaries(rows: Sequence[Row], places: Sequence[int]) -> Iterator[Summary]:
    for dataset, metric in dict.fromkeys((rows[k].dataset, rows[k].metric) for k in places):
        part = [k for k in places if (rows[k].dataset, rows[k].metric) == (dataset, metric)]
        gains = [gain for k in part if (gain := rows[k].gain) is not None]
        yield Summary(
            **_tally(rows, part),
            dataset=dataset,
            metric=metric,
            median=median(gains) if gains else None,
            smallest=min(gains, default=None),
            largest=max(gains, default=None),
        )


def _tally(rows: Sequence[Row], places: Sequence[int]) -> dict[str, Any]:
    """What several comparisons come to, how many to what, and which of them decided."""
    counts = Counter(rows[k].outcome for k in places)
    outcome = rules.together(counts)
    deciding = rules.FAILS if outcome == rules.MIXED else outcome
    if not counts[deciding]:  # what was made holds: what was not leaves the claim open
        deciding = rules.MISSING
    among = [k for k in places if rows[k].outcome == deciding]

    def order(k: int) -> tuple[float, float]:
        row = rows[k]
        if row.gain is None or row.minimum is None:
            return 1.0, 0.0
        p = row.p or 0.0  # a count has none
        return -p if outcome == rules.HOLDS else p, abs(row.gain / row.minimum - 1)

    return {
        "outcome": outcome,
        "counts": {name: counts[name] for name in rules.OUTCOMES if counts[name]},
        "decider": min(among, key=order),
    }
