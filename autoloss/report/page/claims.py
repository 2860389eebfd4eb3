"""The report's first section: the verdict on each of the paper's claims, linked to its runs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from autoloss.claims.layout import LEGEND, claim_table, claims_table, gains_table
from autoloss.claims.questions import digests
from autoloss.claims.schema import FILE
from autoloss.claims.verdict import Verdicts, read_verdicts
from autoloss.report.runs import Runs
from autoloss.report.table import Table


@dataclass(frozen=True)
class Section:
    """All verdicts: the claims in short, what the paper states, and the comparisons of each."""

    claims: Table
    paper: Table
    details: Sequence[tuple[str, Table]]
    legend: str
    warnings: Sequence[str]


def verdicts(runs: Runs) -> Section | None:
    """The section; None where the verdicts have not been made."""
    file = runs.study.results / "verdicts.json"
    if not file.exists():
        return None
    study, judged = runs.study, read_verdicts(file)
    return Section(
        claims_table(study, judged),
        gains_table(judged),
        [(claim.anchor, claim_table(study, claim)) for claim in judged.claims],
        LEGEND,
        list(_warnings(runs, judged)),
    )


def _warnings(runs: Runs, judged: Verdicts) -> Iterator[str]:
    """What has changed since the verdicts were made."""
    claims = hashlib.sha256((runs.study.root / FILE).read_bytes()).hexdigest()
    here = digests(runs.groups)
    other = [group for group, digest in here.items() if judged.groups.get(group, digest) != digest]
    mend = "Run snakemake --cores all claims."
    if claims != judged.claims_sha256:
        yield f"{FILE.as_posix()} has changed since the verdicts were made. {mend}"
    if other:
        yield f"The verdicts rest on other runs of {', '.join(other)} than the report. {mend}"
