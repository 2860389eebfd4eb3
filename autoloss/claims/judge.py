"""From claims and runs to verdicts: measure each comparison once, decide at three minimum effects.

Nothing is chosen here that docs/statistics.md, "Verdicts", does not say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd

from autoloss.claims.evidence import answer, digests, evidence, questions
from autoloss.claims.measured import Measured, decide_all
from autoloss.claims.rules import DETAILS, UNASSESSABLE, VERDICTS, conjunction
from autoloss.claims.schema import Claim, Registry
from autoloss.claims.summary import pool
from autoloss.claims.verdicts import ClaimVerdict, Pooled, Row, Verdicts
from autoloss.study import Study

TOLERANCES = (0.5, 1.0, 2.0)  # times the minimum effect


@dataclass(frozen=True)
class Judged:
    """A claim's comparisons: rows, their verdicts at each tolerance, and the pooled ones."""

    claim: Claim
    rows: Sequence[Row]
    said: Sequence[Sequence[str]]
    pooled: Sequence[Pooled]


def judge(study: Study, registry: Registry, groups: Mapping[str, pd.DataFrame]) -> Verdicts:
    """A verdict on every claim, from the indexes of the groups that there are."""
    options = study.config.statistics
    measured: list[Measured] = []
    ends = [0]
    for claim in registry.claims:
        runs = evidence(claim, groups)
        for question in questions(study, registry, claim, runs):
            found = answer(study, question, runs)
            measured.append(Measured.of(question, found, options))
        ends.append(len(measured))
    decided = [decide_all(measured, times, options.alpha) for times in TOLERANCES]
    verdicts = []
    for claim, (start, end) in zip(registry.claims, pairwise(ends), strict=True):
        mine = measured[start:end]
        rows = [
            one.row(decision, options.alpha)
            for one, decision in zip(mine, decided[1][start:end], strict=True)
        ]
        said = [[d.verdict if d else UNASSESSABLE for d in at[start:end]] for at in decided]
        pooled = list(pool(mine, rows, options))
        verdicts.append(_claim_verdict(Judged(claim, rows, said, pooled)))
    used = {one.question.dataset for one in measured if one.question.dataset is not None}
    return Verdicts(
        claims_sha256=registry.sha256,
        scale=study.config.scale,
        protocol=study.config.protocol,
        alpha=options.alpha,
        papers_own=study.is_the_papers(used),
        groups=digests(groups),
        families=dict(registry.families),
        claims=verdicts,
    )


def _claim_verdict(judged: Judged) -> ClaimVerdict:
    """The conjunction of a claim's comparisons."""
    claim, rows = judged.claim, judged.rows
    places = [k for k, row in enumerate(rows) if row.counts]
    differs = claim.direction == "differs"
    at_half, verdict, at_twice = (
        conjunction((at[k] for k in places), differs=differs) for at in judged.said
    )
    with_it = [k for k in places if rows[k].verdict == verdict]
    found = Counter(rows[k].verdict for k in places)
    counts = {name: found[name] for name in VERDICTS if found[name]}
    details = {rows[k].detail for k in places}
    about = {"id", "sentence", "origin", "section", "stated", "family", "direction"}
    return ClaimVerdict(
        **claim.model_dump(include=about),
        basis=_basis(claim),
        verdict=verdict,
        detail=details.pop() if len(details) == 1 else "",
        reason=_reason([rows[k] for k in places], counts),
        counts=counts,
        decider=min(with_it, key=lambda k: _strength(rows[k], claim)),
        at_half=at_half,
        at_twice=at_twice,
        rows=list(rows),
        pooled=list(judged.pooled),
    )


def _strength(row: Row, claim: Claim) -> float:
    """The gain in minimum effects: the weakest of the rows with the claim's verdict decides."""
    if row.gain is None:
        return 0.0
    return (abs(row.gain) if claim.direction == "differs" else row.gain) / row.minimum


def _reason(rows: Sequence[Row], counts: Mapping[str, int]) -> str:
    """How many comparisons came to what, and what is behind it."""
    parts = []
    for name, number in counts.items():
        named = [row.detail for row in rows if row.verdict == name and row.detail]
        found = Counter(detail.partition(":")[0] for detail in named)  # "missing", not what is
        texts = [f"{found[d]} {d}" for d in dict.fromkeys((*DETAILS, *sorted(found))) if found[d]]
        parts.append(f"{number} {name}" + (f" ({', '.join(texts)})" if texts else ""))
    return f"of {len(rows)}: {'; '.join(parts)}"


def _basis(claim: Claim) -> str:
    """Where the minimum effects come from."""
    half = claim.minimum.half_of
    parts = [f"half of the {half} published gain"] if half else []
    return "; ".join(parts + ([claim.minimum.why] if claim.minimum.why else []))
