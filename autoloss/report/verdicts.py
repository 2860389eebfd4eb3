"""The report's first section: the verdict on each of the paper's claims, linked to its runs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from autoloss.claims.evidence import digests
from autoloss.claims.rules import DIRECTION, NOT, REPRODUCED
from autoloss.claims.schema import FILE
from autoloss.claims.tables import HEADS, LEGEND, ORIGINS, claim_cells, claim_table, claims_table
from autoloss.claims.verdicts import ClaimVerdict, Row, Verdicts, read_verdicts
from autoloss.report.evidence import Evidence
from autoloss.report.grids import Grid, Item, anchor
from autoloss.report.tables import Text
from autoloss.study import Cell, Study

MARKS = {REPRODUCED: "good", NOT: "bad", DIRECTION: "part"}


@dataclass(frozen=True)
class Detail:
    """A claim's comparisons, folded away under its sentence."""

    id: str
    title: str
    notes: Sequence[str]
    grids: Sequence[Grid]


@dataclass(frozen=True)
class Section:
    """All verdicts: a grid per origin, the comparisons of each claim, and what to know of them."""

    summary: str
    grids: Sequence[Grid]
    details: Sequence[Detail]
    notes: Sequence[str]
    legend: str
    warnings: Sequence[str]


def verdicts(evidence: Evidence) -> Section | None:
    """The section; None where the verdicts have not been made."""
    file = evidence.study.results / "verdicts.json"
    if not file.exists():
        return None
    study, found, shown = evidence.study, read_verdicts(file), set(evidence.cells())
    return Section(
        summary(found),
        [_grid(study, found, origin, shown) for origin in ORIGINS],
        [_detail(study, claim, shown) for claim in found.claims],
        claims_table(study, found).notes,
        LEGEND,
        list(_warnings(evidence, found)),
    )


def summary(found: Verdicts) -> str:
    """One sentence: how many of the paper's claims came to what."""
    words = Counter(claim.verdict for claim in found.claims if claim.origin == "paper")
    counts = ", ".join(f"{number} {word}" for word, number in words.most_common())
    return f"Of {words.total()} empirical claims of the paper: {counts}."


def _grid(study: Study, found: Verdicts, origin: str, shown: Collection[Cell]) -> Grid:
    body = []
    for claim in found.claims:
        if claim.origin == origin:
            row = claim.rows[claim.decider]
            word, held, decider, n, gain, *rest = map(_item, claim_cells(study, claim))
            body.append(
                [
                    Item(claim.sentence, href=f"#claim-{claim.id}"),
                    replace(word, mark=MARKS.get(claim.verdict, "")),
                    held,
                    replace(decider, href=_runs(row, row.ours, shown)),
                    replace(n, value=row.n),
                    replace(gain, value=row.gain),
                    *rest,
                ]
            )
    return Grid(ORIGINS[origin], "claim", [("", name) for name in HEADS], body, words=True)


def _detail(study: Study, claim: ClaimVerdict, shown: Collection[Cell]) -> Detail:
    """Every comparison, with links to the runs of both methods."""
    table = claim_table(study, claim)
    grids = []
    for block in table.blocks:
        body = [[Item(name), *map(_item, texts)] for name, texts in block.rows]
        grids.append(Grid(block.heading, "comparison", block.columns, body))
    rows = [
        [name, replace(word, mark=MARKS.get(row.verdict, "")), *items, *map(_link, links)]
        for (name, word, *items), row in zip(grids[0].rows, claim.rows, strict=True)
        for links in [[_runs(row, method, shown) for method in (row.ours, row.other)]]
    ]
    columns = [*grids[0].columns, ("", "runs of the first"), ("", "of the second")]
    grids[0] = replace(grids[0], columns=columns, rows=rows)
    return Detail(f"claim-{claim.id}", table.title, table.notes, grids)


def _link(href: str) -> Item:
    return Item("runs" if href else "–", href=href)


def _item(text: Text) -> Item:
    return Item(text.text, bold=text.bold)


def _runs(row: Row, method: str, shown: Collection[Cell]) -> str:
    """A link to a cell's runs on the page, if they are there."""
    cell = Cell(row.dataset or "", row.model, method)
    return f"#{anchor(cell)}" if cell in shown else ""


def _warnings(evidence: Evidence, found: Verdicts) -> Iterator[str]:
    """What has changed since the verdicts were made."""
    claims = hashlib.sha256((evidence.study.root / FILE).read_bytes()).hexdigest()
    here = digests(evidence.groups)
    other = [group for group, digest in here.items() if found.groups.get(group, digest) != digest]
    mend = "Run snakemake --cores all claims."
    if claims != found.claims_sha256:
        yield f"{FILE.as_posix()} has changed since the verdicts were made. {mend}"
    if other:
        yield f"The verdicts rest on other runs of {', '.join(other)} than the report. {mend}"
