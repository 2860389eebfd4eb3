"""From claims and runs to verdicts: measure each comparison once, then decide all together.

Nothing is chosen here that docs/statistics.md, "Verdicts", does not say.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
from autoloss.claims.rows import Kept, RowErrors, nothing_kept
from autoloss.claims.schema import FILE, Claim, Registry, claims_of
from autoloss.claims.verdict import ClaimVerdict, Row, Summary, Verdicts
from autoloss.config import StatisticsOptions
from autoloss.stats import compare, splits_of
from autoloss.study.study import Study


@dataclass(frozen=True)
class Asked:
    """A claim, or a reading of it (the name of a method), with its comparisons measured."""

    claim: Claim
    reading: str
    answers: list[Answer]
    measured: list[tuple[Row, rules.Tested | None]]


def judge(
    study: Study,
    registry: Registry,
    groups: Mapping[str, pd.DataFrame],
    kept: Kept = nothing_kept,
) -> Verdicts:
    """A verdict on every claim, or on each of its readings, from the indexes that there are.

    What `kept` has of the runs' predictions says how much of a deciding gain is the test rows'.
    """
    alpha, listed = study.config.statistics.alpha, registry.listed
    asked = list(ask(study, registry, groups))
    tests = [test for one in asked for _, test in one.measured if test]
    decisions = iter(rules.decide(tests, alpha))
    everything = pd.concat(groups.values()) if groups else pd.DataFrame(columns=["dataset", "seed"])
    by_data = everything.groupby("dataset")
    own = study.is_the_papers(everything["dataset"].unique())
    verdicts, errors = [], RowErrors(kept)
    for one in asked:
        rows = [_decided(row, next(decisions), alpha) if t else row for row, t in one.measured]
        read_as = listed.readings.get(one.reading, "")
        verdict = claim_verdict(one.claim, one.reading, read_as, rows, own)
        for k in {summary.decider for summary in verdict.summaries}:
            if (splits := one.answers[k].splits) is not None:
                error = errors.of(rows[k], splits)
                rows[k] = rows[k].model_copy(update={"test_rows_error": error})
        verdicts.append(verdict.model_copy(update={"rows": rows}))
    return Verdicts(
        claims_sha256=registry.sha256,
        registered=registered(study.root),
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
    """Every claim, and every reading of it, with its comparisons measured."""
    options = study.config.statistics
    for claim in claims_of(study, registry):
        runs = evidence(claim, groups)
        for methods in claim.judged:
            rows = questions(study, registry, claim, methods, runs)
            answers = [answer(study, claim, row, runs) for row in rows]
            measured = [measure(claim, *pair, options) for pair in zip(rows, answers, strict=True)]
            yield Asked(claim, methods[0] if claim.readings else "", answers, measured)


def registered(root: Path) -> str | None:
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
    claim: Claim, row: Row, answer: Answer, options: StatisticsOptions
) -> tuple[Row, rules.Tested | None]:
    """A row with the numbers of its answer, and what its outcome depends on, if it can have one."""
    if answer.gains is None or answer.splits is None:
        outcome = rules.OPEN if answer.tried else rules.MISSING
        update = {"n": answer.n, "outcome": outcome if row.decides else "", "detail": answer.reason}
        return row.model_copy(update=update), None
    d = np.asarray(answer.gains, dtype=np.float64)
    if MEASURES[row.metric].counted:
        return row.model_copy(update={"n": answer.n, "gain": float(d.mean())}), None
    among = answer.splits.options(answer.gains.index)
    zero = compare(
        *(d, np.zeros_like(d)), higher_is_better=True, confidence=options.confidence, **among
    )
    names = ("n", "gain", "sd", "low", "high", "p_permutation", "p_t")
    update = {name: getattr(zero, name) for name in names}
    row = row.model_copy(update=update | {"test_to_train": answer.splits.test_to_train})
    if row.minimum is None:
        return row, None
    return row, rules.Tested(
        key=(row.dataset, row.model, row.ours, row.other),
        family=(claim.family, row.metric),
        minimum=row.minimum,
        zero=zero,
        least=compare(d, np.full_like(d, row.minimum), higher_is_better=True, **among),
    )


def _decided(row: Row, decision: rules.Decision, alpha: float) -> Row:
    """The row with what it comes to, and what its design can find."""
    assert row.sd is not None
    assert row.minimum is not None
    design = Design(row.sd, row.minimum, decision.of, alpha, row.test_to_train)
    update: dict[str, Any] = {
        "comparisons": decision.of,
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
        if row.p is None or row.gain is None or row.minimum is None:
            return 1.0, 0.0
        certain = -row.p if outcome == rules.HOLDS else row.p
        return certain, abs(row.gain / row.minimum - 1)

    return {
        "outcome": outcome,
        "counts": {name: counts[name] for name in rules.OUTCOMES if counts[name]},
        "decider": min(among, key=order),
    }
