"""Verdicts as files: JSON for machines, Markdown and LaTeX for readers, the comparisons as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from autoloss.claims.judge import judge
from autoloss.claims.rules import UNASSESSABLE
from autoloss.claims.schema import claimed_groups, load_claims
from autoloss.claims.tables import LEGEND, claim_table, claims_table
from autoloss.claims.verdicts import Verdicts
from autoloss.records.store import write_text
from autoloss.report.products import read_index
from autoloss.report.render import to_latex, to_markdown
from autoloss.study import Study


def write_verdicts(study: Study) -> Iterator[Path]:
    """`verdicts.{json,md,tex}`, `verdicts.csv` (comparisons), `verdicts_summary.csv` (pooled)."""
    groups = {
        group: read_index(study, group)
        for group in claimed_groups(study)
        if study.index_file(group).exists()
    }
    found = judge(study, load_claims(study.root), groups)
    texts = {
        "verdicts.json": found.model_dump_json(indent=1) + "\n",
        "verdicts.md": _markdown(study, found),
        "verdicts.tex": to_latex(claims_table(study, found), label="verdicts"),
        "verdicts.csv": comparisons(found).to_csv(index=False),
        "verdicts_summary.csv": pooled(found).to_csv(index=False),
    }
    for name, text in texts.items():
        yield write_text(text, study.results / name)


def comparisons(found: Verdicts) -> pd.DataFrame:
    """One row per comparison of a claim."""
    rows = [
        {"claim": claim.id, "family": claim.family, **row.model_dump()}
        for claim in found.claims
        for row in claim.rows
    ]
    return pd.DataFrame(rows)


def pooled(found: Verdicts) -> pd.DataFrame:
    """One row per claim, metric and pair of methods that has several cells."""
    rows = [
        {"claim": claim.id, **one.model_dump()} for claim in found.claims for one in claim.pooled
    ]
    return pd.DataFrame(rows)


def _markdown(study: Study, found: Verdicts) -> str:
    """All claims, then every comparison of those that can be assessed at all."""
    parts = [to_markdown(claims_table(study, found)), f"{LEGEND}\n"]
    parts += [
        to_markdown(claim_table(study, claim))
        for claim in found.claims
        if claim.verdict != UNASSESSABLE or len(claim.counts) > 1
    ]
    return "\n".join(parts)
