"""Verdicts as files: JSON for machines, Markdown and LaTeX for readers, the comparisons as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from autoloss.claims.judge import judge
from autoloss.claims.layout import LEGEND, claim_table, claims_table, gains_table
from autoloss.claims.rows import kept_by
from autoloss.claims.rules import MISSING, MIXED, OUTCOMES
from autoloss.claims.schema import claimed_groups, load_claims, require_claims
from autoloss.claims.verdict import Verdicts
from autoloss.records.store import write_text
from autoloss.report.analysis import read_index
from autoloss.report.render import to_latex, to_markdown
from autoloss.study.study import Study

SHOWN = ("gain", "low", "high", "test_rows_error", "p_holds", "p_fails", "resolved")


def write_verdicts(study: Study) -> Iterator[Path]:
    """`verdicts.{json,md,tex}`, `verdicts.csv` (comparisons), `verdicts_summary.csv` (in short)."""
    require_claims(study)
    groups = {
        group: read_index(study, group)
        for group in claimed_groups(study)
        if study.index_file(group).exists()
    }
    verdicts = judge(study, load_claims(study.root), groups, kept_by(study))
    texts = {
        "verdicts.json": verdicts.model_dump_json(indent=1) + "\n",
        "verdicts.md": _markdown(study, verdicts),
        "verdicts.tex": to_latex(claims_table(study, verdicts), label="verdicts"),
        "verdicts.csv": comparisons(verdicts).to_csv(index=False),
        "verdicts_summary.csv": summaries(verdicts).to_csv(index=False),
    }
    for name, text in texts.items():
        yield write_text(text, study.results / name)


def comparisons(verdicts: Verdicts) -> pd.DataFrame:
    """One row per comparison of a claim."""
    rows = [
        {"claim": claim.id, "reading": claim.reading, "family": claim.family, **row.model_dump()}
        for claim in verdicts.claims
        for row in claim.rows
    ]
    return pd.DataFrame(rows)


def summaries(verdicts: Verdicts) -> pd.DataFrame:
    """One row per claim, data set and metric, with the comparison that decided."""
    rows = [
        {"claim": claim.id, "reading": claim.reading}
        | summary.model_dump(exclude={"counts", "decider"})
        | {name: summary.counts.get(name, 0) for name in OUTCOMES if name != MIXED}
        | claim.rows[summary.decider].model_dump(include={"model", "ours", "other", *SHOWN})
        for claim in verdicts.claims
        for summary in claim.summaries
    ]
    return pd.DataFrame(rows)


def _markdown(study: Study, verdicts: Verdicts) -> str:
    """All claims, what the paper states, then every comparison of those that were attempted."""
    parts = [
        to_markdown(claims_table(study, verdicts)),
        to_markdown(gains_table(verdicts)),
        f"{LEGEND}\n",
    ]
    parts += [
        to_markdown(claim_table(study, claim))
        for claim in verdicts.claims
        if claim.outcome != MISSING
    ]
    return "\n".join(parts)
