"""What is known of the user's own claims before a run: what they lack, and what seeds can decide.

Imports neither torch nor pandas. The paper's claims are noted in the verdicts alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from autoloss.claims.measures import MEASURES
from autoloss.claims.schema import OWN_CLAIM, Claim, claimed_groups, claims_of, load_claims
from autoloss.significance import can_be_significant, seeds_needed
from autoloss.study.cell import Cell
from autoloss.study.study import Study

Compared = tuple[str, str, str, str]  # our data set, model, method and other method
Groups = Mapping[str, Collection[Cell]]


def claim_notes(study: Study) -> Iterator[str]:
    """Sentences on the claims of `origin: own`.

    Raises:
        ConfigError: as `load_claims`.
    """
    claims = claims_of(study, load_claims(study.root))
    families = {claim.family for claim in claims if claim.origin == OWN_CLAIM}
    if not families:
        return
    groups = {group: study.cells(group) for group in claimed_groups(study)}
    claims = [claim for claim in claims if claim.family in families]
    asked = {claim.id: _compared(study, claim, groups) for claim in claims}
    for claim in claims:
        if claim.origin == OWN_CLAIM and (lacks := _lacks(study, claim, groups)):
            what = "cannot hold: some of it" if asked[claim.id] else "cannot be judged: it"
            yield f"The claim '{claim.id}' {what} will not be attempted, as {lacks}."
    yield from _undecidable(study, claims, asked)


def _compared(study: Study, claim: Claim, groups: Groups) -> set[Compared]:
    """The comparisons of a claim that the study will have the runs of."""
    if claim.protocol not in (None, study.config.protocol):
        return set()
    cells = _cells(claim, groups)
    standing = _standing(study, cells)
    return {
        (dataset, model, study.plain(ours), study.plain(other))
        for data, model, ours, other in claim.pairs((*claim.methods, *claim.readings))
        for dataset, paper in standing.items()
        if data in (dataset, paper)
        and {Cell(dataset, model, study.plain(method)) for method in (ours, other)} <= cells
    }


def _lacks(study: Study, claim: Claim, groups: Groups) -> str:
    """What of a claim the study has no runs of; nothing, if it has all."""
    if claim.protocol not in (None, study.config.protocol):
        return f"it is of the {claim.protocol} protocol"
    cells = _cells(claim, groups)
    standing = _standing(study, cells)
    methods = dict.fromkeys(map(study.plain, (*claim.methods, *claim.readings, *claim.others)))
    missing = [
        *(f"data for {n}" for n in claim.data if n not in {*standing, *standing.values()}),
        *(f"the model {n}" for n in claim.models if n not in {cell.model for cell in cells}),
        *(f"the method {n}" for n in methods if n not in {cell.method for cell in cells}),
    ]
    here = [name for name, paper in standing.items() if {name, paper} & {*claim.data}]
    places = (Cell(d, m, n) for d in here for m in claim.models for n in methods)
    missing = missing or [str(cell) for cell in places if cell not in cells][:1]
    where = " and ".join(claim.groups)
    return f"the study has no runs of {', '.join(missing)} in {where}" if missing else ""


def _undecidable(
    study: Study, claims: Sequence[Claim], asked: Mapping[str, set[Compared]]
) -> Iterator[str]:
    """A sentence per family of one's own claims in which so many seeds can decide nothing."""
    alpha, (pairs, name) = study.config.statistics.alpha, study.pairs
    for family in dict.fromkeys(claim.family for claim in claims):
        within = [claim for claim in claims if claim.family == family]
        sizes = {
            metric: len(set().union(*(asked[c.id] for c in within if metric in c.metrics)))
            for metric in dict.fromkeys(metric for claim in within for metric in claim.metrics)
            if not MEASURES[metric].counted
        }
        largest = max(sizes.values(), default=0)
        if largest and not can_be_significant(pairs, largest, alpha):
            ids = ", ".join(claim.id for claim in within)
            yield (
                f"No claim of the family '{family}' ({ids}) can be told with study.{name}: {pairs}:"
                f" for {largest} comparison{'s' * (largest > 1)} by a metric Holm needs "
                f"{seeds_needed(largest, alpha)} {name}."
            )


def _cells(claim: Claim, groups: Groups) -> set[Cell]:
    """Those whose runs a claim is judged by."""
    return {cell for group in claim.groups for cell in groups.get(group, ())}


def _standing(study: Study, cells: Iterable[Cell]) -> dict[str, str]:
    """The data sets of cells, each with the paper's that it stands for."""
    names = sorted({cell.dataset for cell in cells})
    return {name: study.dataset(name).stands_for for name in names}
