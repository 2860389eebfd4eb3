"""The verdicts as tables: one of all claims, and one per claim with every comparison."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from autoloss.claims.measures import MEASURES
from autoloss.claims.verdicts import ClaimVerdict, Pooled, Row, Verdicts
from autoloss.report.evidence import label_of
from autoloss.report.tables import Block, Table, Text
from autoloss.study import Study

ORIGINS = {"paper": "The paper's claims", "reviewers": "What reviewers would ask"}
HEADS = (
    *("verdict", "hold", "decided by", "n", "gain", "interval", "p (Holm)"),
    "half and twice the minimum",
)
ROW_HEADS = (
    *("verdict", "paper", "minimum", "n", "gain", "interval"),
    *("p", "p Holm", "p less", "p equivalent", "power", "seeds", "P(more, within, less)"),
)
POOLED_HEADS = (
    *("cells (data sets)", "n", "mean gain", "interval", "smallest to largest", "sd"),
    *("positive", "P(improvement)", "P(more, within, less)"),
)
STAND_IN = (
    "The data sets stand for the paper's, or the scale is not the paper's: a verdict is on the "
    "claim in this study, and neither confirms nor refutes the paper's numbers."
)
LEGEND = (
    "Paper is the gain that it states. P-values but the first are Holm-corrected; less: the gain "
    "is less than the minimum effect; equivalent: it is within ± the minimum effect. "
    "Power is that of finding the minimum effect with these seeds, seeds how many would find it "
    "with power 0.8, P the posterior of a gain of more than the minimum, within ± it, or less."
)


def claims_table(study: Study, found: Verdicts) -> Table:
    """A row per claim: its verdict, and the comparison that decided it."""
    blocks = [
        Block(
            heading,
            [("", name) for name in HEADS],
            [
                (claim.sentence, claim_cells(study, claim))
                for claim in found.claims
                if claim.origin == origin
            ],
        )
        for origin, heading in ORIGINS.items()
    ]
    notes = [
        "A claim holds if all of its comparisons hold; shown is the weakest of those that have the "
        "claim's verdict. The rules are in docs/statistics.md, Verdicts.",
        f"Two-sided at {found.alpha:g}, Holm-corrected within families; {found.protocol} protocol; "
        f"claims.yaml has SHA-256 {found.claims_sha256[:16]}.",
        *([] if found.papers_own else [STAND_IN]),
    ]
    return Table("Verdicts", pd.DataFrame(), blocks, notes)


def claim_cells(study: Study, claim: ClaimVerdict) -> list[Text]:
    """A claim's row, in the order of HEADS."""
    row = claim.rows[claim.decider]
    return [
        Text(claim.word, bold=True),
        Text(claim.held),
        Text(row.detail if row.gain is None else name_of(study, row)),
        Text(str(row.n)),
        Text(_signed(row.gain, 4)),
        Text(_interval(row.low, row.high, 4)),
        Text(_p(row.p_holm)),
        Text(claim.tolerance),
    ]


def claim_table(study: Study, claim: ClaimVerdict) -> Table:
    """Every comparison of a claim, and the summaries over cells."""
    rows = [(name_of(study, row), row_cells(claim, row)) for row in claim.rows]
    blocks = [Block("", [("", name) for name in ROW_HEADS], rows)]
    if claim.pooled:
        body = [(pair_of(study, one), pooled_cells(one)) for one in claim.pooled]
        blocks.append(Block("Over the cells", [("", name) for name in POOLED_HEADS], body))
    return Table(f"{claim.sentence}: {claim.word}", pd.DataFrame(), blocks, list(notes_of(claim)))


def notes_of(claim: ClaimVerdict) -> Iterator[str]:
    """What is behind a claim's verdict, in sentences."""
    yield f"Comparisons: {claim.reason}."
    moves = f" Verdict with half or twice of it: {claim.tolerance}." if claim.tolerance else ""
    yield f"Minimum effect: {claim.basis}.{moves}"
    if claim.stated:
        yield f"The paper: {claim.stated}."


def row_cells(claim: ClaimVerdict, row: Row) -> list[Text]:
    """A comparison's row, in the order of ROW_HEADS."""
    word = claim.said(row.verdict) if row.verdict else ""
    return [
        Text(": ".join(filter(None, (word, row.detail))), bold=row.counts),
        Text(_signed(row.published, 4)),
        Text(f"{row.minimum:.5f}"),
        Text(str(row.n)),
        Text(_signed(row.gain, 5)),
        Text(_interval(row.low, row.high, 5)),
        *(Text(_p(p)) for p in (row.p, row.p_holm, row.p_below_holm, row.p_equivalence_holm)),
        Text("" if row.power is None else f"{row.power:.2f}"),
        Text("" if row.seeds_needed is None else f"{row.seeds_needed:,}"),
        Text(_shares(row)),
    ]


def pooled_cells(one: Pooled) -> list[Text]:
    """A summary's row, in the order of POOLED_HEADS."""
    return [
        Text(f"{one.cells} ({one.datasets})"),
        Text(str(one.n)),
        Text(_signed(one.gain, 5)),
        Text(_interval(one.low, one.high, 5)),
        Text(_interval(one.smallest, one.largest, 5)),
        Text(f"{one.spread:.5f}"),
        Text(f"{one.positive} of {one.cells}"),
        Text(f"{one.improvement:.2f}"),
        Text(_shares(one)),
    ]


def name_of(study: Study, row: Row) -> str:
    """What a comparison compares, and where."""
    where = f"{row.dataset or row.data}/{row.model}"
    return f"{label_of(study, row.ours)} against {label_of(study, row.other)}, {where}, " + (
        MEASURES[row.metric].label
    )


def pair_of(study: Study, one: Pooled) -> str:
    """What a summary compares."""
    pair = f"{label_of(study, one.ours)} against {label_of(study, one.other)}"
    return f"{pair}, {MEASURES[one.metric].label}"


def _signed(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:+.{digits}f}"


def _interval(low: float | None, high: float | None, digits: int) -> str:
    return f"{_signed(low, digits)} to {_signed(high, digits)}" if low is not None else ""


def _p(p: float | None) -> str:
    if p is None:
        return ""
    return "< 0.0001" if p < 0.0001 else f"{p:.4f}"


def _shares(one: Row | Pooled) -> str:
    found = (one.posterior_above, one.posterior_within, one.posterior_below)
    return ", ".join(f"{share:.2f}" for share in found if share is not None)
