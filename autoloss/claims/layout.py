"""The verdicts as tables: one of all claims, one of the gains of interest, and one per claim."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from autoloss.claims.measures import MEASURES
from autoloss.claims.power import MOST_SEEDS
from autoloss.claims.rules import FAILS, HOLDS, MISSING, MIXED, OPEN, WORDS
from autoloss.claims.verdict import ClaimVerdict, Row, Summary, Tally, Verdicts, read_tuned
from autoloss.models import MODELS
from autoloss.report.runs import label_of
from autoloss.report.table import Grid, Item, Table, number, plain_columns, runs_of
from autoloss.study.cell import Cell
from autoloss.study.study import Study

COLOURS = {HOLDS: "good", FAILS: "bad", MIXED: "part"}  # classes of the report's page
ORIGINS = {
    "own": "Our own claims",
    "paper": "The paper's claims",
    "reviewers": "What reviewers would ask",
}
GAINS = (
    "A gain is a difference: of AUC what ours has more, of log loss what it has less. Of passes it "
    "is ours in times of the other's: ×0.80 is a fifth less."
)
RESOLVED = (
    "The smallest gain found is a true gain in that row's metric, on its data set, that as many "
    "runs with as much spread find in that one comparison with a chance of 0.8; a claim, which "
    "needs all of its comparisons, is found more seldom. “none”: the seeds are too few for any "
    "gain, over so many comparisons. A dash: nothing was tested."
)
LEGEND = (
    "Of interest is the smallest gain that would bear the claim out. A comparison holds if a gain "
    "is significant, estimated to be of interest, and at least two of its standard errors over the "
    "test rows (from the runs' kept predictions); it fails if it is significantly less than of "
    "interest. Each p is the larger of the sign-flip test's and the corrected t test's, "
    "both Holm-corrected: that there is a gain over the comparisons of the family by that metric, "
    "that it is less than of interest over these with each smallest gain of interest that claims "
    "have for them (“over” has both numbers). The 95 % interval is of one comparison, not "
    f"corrected. {RESOLVED} Beside it are the chance that the "
    "paper's gain is found if it is true here, and the seeds that would find it with 0.8. Rows "
    "“beside” are shown and decide nothing: seconds are those of a machine whose load is not "
    f"known. {GAINS}"
)
OVERLAP = (
    " Over splits that overlap that is an approximation: sign flips would be exact if splits could "
    "change places, and err too often where they overlap; the t test is corrected for it, and both "
    "must agree."
)
HOW_MANY = {HOLDS: "hold", FAILS: "fail", OPEN: "open", MISSING: "not attempted"}
PAPERS = ("paper's data", "smallest", "largest")  # columns of what the paper states


def claims_table(study: Study, verdicts: Verdicts) -> Table:
    """A row per claim: its verdict, after the tuned study's, and the comparison that decided."""
    tuned = read_tuned(study, verdicts)
    words = {claim.anchor: claim for claim in tuned.claims} if tuned else {}
    ranked = sorted(verdicts.claims, key=lambda claim: list(WORDS).index(claim.outcome))
    rows = {
        heading: [_claim(study, claim, words) for claim in ranked if claim.origin == origin]
        for origin, heading in ORIGINS.items()
    }
    grids = [replace(_grid(heading, of), words=True) for heading, of in rows.items() if of]
    notes = list(_notes(verdicts, bool(tuned)))
    return Table("Verdicts", grids, notes, lead=summary(verdicts))


def summary(verdicts: Verdicts) -> str:
    """What the paper's claims came to, those of two readings counted twice, and which hold.

    Our own, where none of the paper's is judged.
    """
    by_origin = {o: [c for c in verdicts.claims if c.origin == o] for o in ("paper", "own")}
    whose, claims = "the paper's", by_origin["paper"]
    if not claims:
        whose, claims = "our own", by_origin["own"]
    words = Counter(claim.outcome for claim in claims)
    if not claims:
        return "No claim is the paper's."
    counts = [f"{WORDS[name][verdicts.papers_own]} {words[name]}" for name in WORDS if words[name]]
    hold = [f"“{claim.title}”" for claim in claims if claim.outcome == HOLDS]
    twice = ", a claim on several readings counted for each" * any(c.reading for c in claims)
    of = f"{len(claims)} verdict{'s' * (len(claims) != 1)}"
    return (
        f"Of {of} on {whose} claims ({verdicts.protocol} protocol{twice}): {', '.join(counts)}. "
        f"What holds: {'; '.join(hold) or 'none of them'}."
    )


def gains_table(verdicts: Verdicts) -> Table:
    """Which gains are of interest here, and what the paper states, for claims that are not ours."""
    own, stated = (
        [row for claim in _once(verdicts) if (claim.origin == "own") == mine for row in _of(claim)]
        for mine in (True, False)
    )
    own = [{name: item for name, item in row.items() if name not in PAPERS} for row in own]
    captions = (ORIGINS["own"], "The paper's gains") if own else ("", "")
    grids = [
        replace(_grid(caption, rows), words=True)
        for caption, rows in zip(captions, (own, stated), strict=True)
        if rows
    ]
    notes = [f"No result moves what is of interest. {GAINS}"]
    if stated:
        notes = [
            "Smallest and largest gain that the paper states for the claim's comparisons; its log "
            f"loss is not recalibrated, and for passes stand its hours. {notes[0]}"
        ]
    title = "The gains of interest" if own else "The paper's gains, and those of interest here"
    return Table(title, grids, notes)


def _once(verdicts: Verdicts) -> list[ClaimVerdict]:
    """Each claim once, not each of its readings."""
    first = {claim.id: claim for claim in reversed(verdicts.claims)}
    return [*reversed(first.values())]


def _of(claim: ClaimVerdict) -> Iterator[dict[str, Item]]:
    """A row per data set and metric of a claim."""
    for summary in claim.summaries:
        same = [r for r in claim.rows if _place(r) == (summary.dataset, summary.metric)]
        stated = [row.published for row in same if row.published is not None]
        metric, least = MEASURES[summary.metric], same[0].minimum or 0.0
        yield {
            "claim": Item(claim.sentence, href=f"#{claim.anchor}"),
            "by": Item(metric.label),
            "paper's data": Item(" and ".join(dict.fromkeys(row.data for row in same))),
            "smallest": _signed(summary.metric, min(stated, default=None)),
            "largest": _signed(summary.metric, max(stated, default=None)),
            "here": Item(summary.dataset or "–"),
            "of interest": _signed(summary.metric, least),
            "because of": Item(same[0].basis),
        }


def claim_table(study: Study, claim: ClaimVerdict) -> Table:
    """A claim's comparisons: in short by data set and metric, then each."""
    short = [_summary(study, claim, summary) for summary in claim.summaries]
    grids = [_grid("In short", short), _grid("Every comparison", list(_rows(study, claim)))]
    return Table(f"{claim.title}: {_verdict(claim)}", grids, list(_about(study, claim)))


def _grid(caption: str, rows: Sequence[Mapping[str, Item]]) -> Grid:
    """One row or more by the names of their columns, the first of which is the corner's."""
    corner, *names = rows[0]
    return Grid(caption, corner, plain_columns(*names), [list(row.values()) for row in rows])


def _notes(verdicts: Verdicts, beside_tuned: bool) -> Iterator[str]:
    """What a reader needs to know of all verdicts."""
    yield (
        "A claim holds if each of its comparisons holds, does not if some fail and none holds, is "
        "mixed if some hold and some fail, and cannot be told if none fails and not all hold; the "
        "columns have how many do. AUC and recalibrated log loss decide, of what training costs "
        "passes: examples through the model, forward and backward, which are counted in these runs "
        "and have no p. Wall time decides nothing. What the rules are, where each threshold comes "
        "from, and what the study cannot support: docs/statistics.md."
    )
    yield (
        "Shown is the comparison that decided, not the average, and its 95 % interval alone, not "
        f"corrected. {GAINS} p: where it holds, that there is no gain; where it fails, that the "
        "gain is of interest; else the smaller of the two. It is the larger of the sign-flip "
        "test's and the corrected t test's, both Holm-corrected over as many tests as “over” says: "
        "the comparisons of the claim's family by that metric, and that a gain is less than of "
        "interest is asked of each with every smallest gain of interest that claims have for it. "
        f"{RESOLVED}"
    )
    yield (
        f"Significant is p < {verdicts.alpha:g}: were no method better than another, at most "
        f"{100 * verdicts.alpha:g} % of studies would have a comparison that holds, in a family by "
        "a metric." + OVERLAP * (verdicts.splits > 1)
    )
    if not verdicts.papers_own:
        pairs = [f"{ours} for {paper}" for ours, paper in verdicts.stand_ins.items()]
        yield (
            f"Here stand {', '.join(pairs)}, or the scale is not the paper's: a verdict is on the "
            "claim in this study, and neither confirms nor refutes the paper's numbers."
        )
    if beside_tuned:
        yield (
            "All tuned is the verdict of the tuned study, whose own page has what decided it; all "
            "other columns are of published values."
        )
    seeds = verdicts.seeds
    yield (
        f"{verdicts.protocol.capitalize()} protocol, {len(seeds)} seeds"
        + (f" ({seeds[0]} to {seeds[-1]})" if seeds else "")
        + (f" on {verdicts.splits} splits of the rows" if verdicts.splits > 1 else "")
        + "."
    )
    commit = f", of commit {verdicts.claims_commit[:12]}" if verdicts.claims_commit else ""
    file = f"claims.yaml has SHA-256 {verdicts.claims_sha256[:16]}{commit}."
    yield f"{file} {verdicts.history}".strip()


def _about(study: Study, claim: ClaimVerdict) -> Iterator[str]:
    """What is behind a claim's verdict, in sentences."""
    total, worse = sum(claim.counts.values()), sum(row.detail == "worse" for row in claim.rows)
    parts = [
        f"{count} {word}{'s' * (count == 1 and word in ('hold', 'fail'))}"
        for k, word in HOW_MANY.items()
        if (count := claim.counts.get(k))
    ]
    beyond = f"; in {worse} the method is significantly worse than the other" if worse else ""
    yield f"Of {total} comparison{'s' * (total != 1)}: {', '.join(parts)}{beyond}."
    row = claim.rows[claim.decider]
    if row.gain is not None and row.minimum is not None:
        metric, error = MEASURES[row.metric], row.test_rows_error
        over_rows = (
            "" if error is None else f", with a standard error of {error:.4f} over test rows"
        )
        yield (
            f"Decided by {name_of(study, row)}: {metric.text(row.gain)}{over_rows}; of interest is "
            f"{metric.text(row.minimum)} ({row.basis})."
        )
    for detail in dict.fromkeys(r.detail for r in claim.rows if r.outcome == MISSING):
        yield f"{detail.capitalize()}."
    if claim.stated:
        yield f"The paper: {claim.stated}."


def _claim(study: Study, claim: ClaimVerdict, tuned: Mapping[str, ClaimVerdict]) -> dict[str, Item]:
    row = claim.rows[claim.decider]
    verdicts = {"verdict": claim}
    if tuned:
        verdicts = {"all tuned": tuned[claim.anchor], "published values": claim}
    return {
        "claim": Item(claim.title, href=f"#{claim.anchor}"),
        **{
            name: Item(_verdict(verdict), bold=True, mark=COLOURS.get(verdict.outcome, ""))
            for name, verdict in verdicts.items()
        },
        **_counts(claim),
        **_deciding(study, row),
    }


def _verdict(claim: ClaimVerdict) -> str:
    """In words, with how many of its comparisons were not attempted."""
    return claim.verdict + (f" ({claim.lacking})" if claim.lacking else "")


def _summary(study: Study, claim: ClaimVerdict, summary: Summary) -> dict[str, Item]:
    return {
        "by": Item(f"{summary.dataset or '–'}, {MEASURES[summary.metric].label}"),
        **_counts(summary),
        "median gain": _signed(summary.metric, summary.median),
        "range": _interval(summary.metric, summary.smallest, summary.largest),
        **_deciding(study, claim.rows[summary.decider]),
        "standard error over test rows": number(claim.rows[summary.decider].test_rows_error),
    }


def _counts(tally: Tally) -> dict[str, Item]:
    numbers = {name: tally.counts.get(name, 0) for name in (HOLDS, FAILS, OPEN)}
    return {name: Item(str(number), number) for name, number in numbers.items()}


def _deciding(study: Study, row: Row) -> dict[str, Item]:
    """The comparison that decided, in short."""
    name = name_of(study, row) if row.n else row.detail.removeprefix("missing: ")
    return {
        "decided by": Item(name, href=_runs_of(row, row.ours) if row.n else ""),
        "gain": _signed(row.metric, row.gain),
        "95 % interval": _interval(row.metric, row.low, row.high),
        "p": _p(row.p),
        "over": Item("" if row.over is None else str(row.over), row.over),
        "smallest gain found": _resolved(row),
    }


def _rows(study: Study, claim: ClaimVerdict) -> Iterator[dict[str, Item]]:
    """A comparison: its name leads to the runs of its first method, `n` to those of the other."""
    for row in claim.rows:
        text = row.outcome if row.decides else "beside"
        yield {
            "comparison": Item(name_of(study, row), href=_runs_of(row, row.ours)),
            "comes to": Item(
                ": ".join(filter(None, (text, row.detail))), mark=COLOURS.get(row.outcome, "")
            ),
            "n": Item(str(row.n), row.n, _runs_of(row, row.other)),
            "gain": _signed(row.metric, row.gain),
            "interval": _interval(row.metric, row.low, row.high),
            "of interest": _signed(row.metric, row.minimum),
            "p, any gain": _p(row.p_holds),
            "p, less than of interest": _p(row.p_fails),
            "over": _over(row),
            "standard error over test rows": number(row.test_rows_error),
            "smallest gain found": _resolved(row),
            "chance of the paper's": Item(
                "" if row.chance is None else f"{row.chance:.2f}", row.chance
            ),
            "seeds for that": _seeds(row),
        }


def _over(row: Row) -> Item:
    """Over how many tests either p is corrected."""
    both = [str(number) for number in (row.comparisons, row.questions) if number is not None]
    return Item(", ".join(both), row.comparisons)


def _resolved(row: Row) -> Item:
    if row.p is None:
        return Item("–")
    return Item("none") if row.resolved is None else _signed(row.metric, row.resolved)


def _seeds(row: Row) -> Item:
    if row.chance is None:
        return Item("")
    return Item(str(row.seeds_needed or f"> {MOST_SEEDS:,}"), row.seeds_needed)


def name_of(study: Study, row: Row) -> str:
    """What a comparison compares, and where."""
    ours, other = label_of(study, row.ours), label_of(study, row.other)
    where = f"{row.dataset or row.data}, {MODELS.get(row.model, row.model)}"
    return f"{ours} against {other}, {where}, {MEASURES[row.metric].label}"


def _place(row: Row) -> tuple[str | None, str]:
    return row.dataset, row.metric


def _runs_of(row: Row, method: str) -> str:
    return runs_of(Cell(row.dataset, row.model, method)) if row.dataset else ""


def _signed(metric: str, gain: float | None) -> Item:
    return Item("" if gain is None else MEASURES[metric].text(gain), gain)


def _interval(metric: str, low: float | None, high: float | None) -> Item:
    if low is None or high is None:
        return Item("")
    ends = sorted((low, high), reverse=MEASURES[metric].log)  # of what it costs, not of the gain
    return Item(" to ".join(map(MEASURES[metric].text, ends)), low)


def _p(p: float | None) -> Item:
    if p is None:
        return Item("")
    return Item("< 0.0001" if p < 0.0001 else f"{p:.4f}", p)
