"""What is known of claims before a run: what one's own lack, and what so many seeds can decide.

Imports neither torch nor pandas. What the paper's claims lack is in the verdicts alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from autoloss.claims.measures import MEASURES
from autoloss.claims.schema import (
    OWN_CLAIM,
    Claim,
    Registry,
    claimed_groups,
    claims_of,
    load_claims,
)
from autoloss.significance import can_be_significant, seeds_needed
from autoloss.study.cell import Cell
from autoloss.study.study import Study

Compared = tuple[str, str, str, str]  # our data set, model, method and other method
Groups = Mapping[str, Collection[Cell]]


def claim_notes(study: Study) -> Iterator[str]:
    """Sentences on what claims of `origin: own` lack, and on what no seed of all can decide.

    Raises:
        ConfigError: as `load_claims`.
    """
    registry = load_claims(study.root)
    claims = claims_of(study, registry)
    groups = {group: study.cells(group) for group in (claimed_groups(study) if claims else ())}
    asked = {claim.id: _compared(study, claim, groups) for claim in claims}
    for claim in claims:
        if claim.origin == OWN_CLAIM and (lacks := _lacks(study, claim, groups)):
            what = "cannot hold: some of it" if asked[claim.id] else "cannot be judged: it"
            yield f"The claim '{claim.id}' {what} will not be attempted, as {lacks}."
    yield from _undecidable(study, registry, asked)


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
    study: Study, registry: Registry, asked: Mapping[str, set[Compared]]
) -> Iterator[str]:
    """A sentence on families in which so many seeds decide nothing, and one on those that they
    cannot decide both ways: what holds is asked of a comparison once, what fails with each smallest
    effect that claims have for it (`rules.decide`)."""
    alpha, (pairs, name) = study.config.statistics.alpha, study.pairs
    hold, fail = _questions(registry, asked)
    untold, unfailing = (
        {family: m for family, m in sizes.items() if not can_be_significant(pairs, m, alpha)}
        for sizes in (hold, fail)
    )
    unfailing = {family: m for family, m in unfailing.items() if family not in untold}
    for short, told, what in (
        (untold, "told", ("comparison", "")),
        (unfailing, "found not to hold", ("comparison", " with a smallest effect")),
    ):
        if short:
            largest, families = max(short.values()), ", ".join(map(repr, short))
            several = len(short) > 1
            yield (
                f"No claim of the famil{'ies' if several else 'y'} {families} can be {told} with "
                f"study.{name}: {pairs}: for {largest} {what[0]}{'s' * (largest > 1)}{what[1]} by "
                f"a metric{', as the largest has,' * several} Holm needs "
                f"{seeds_needed(largest, alpha)} {name}."
            )


def _questions(
    registry: Registry, asked: Mapping[str, set[Compared]]
) -> tuple[dict[str, int], dict[str, int]]:
    """Of each family how many comparisons it has, and how many with each smallest effect: by the
    metric that has the most."""
    hold: dict[tuple[str, str], set[Compared]] = {}
    fail: dict[tuple[str, str], set[tuple[Compared, float]]] = {}
    for claim in registry.listed.claims:
        for metric in claim.metrics:
            if (compared := asked.get(claim.id)) and not MEASURES[metric].counted:
                least, key = registry.minimum(claim, metric).size, (claim.family, metric)
                hold.setdefault(key, set()).update(compared)
                fail.setdefault(key, set()).update((one, least) for one in compared)
    return _largest(hold), _largest(fail)


def _largest(sets: Mapping[tuple[str, str], Collection[object]]) -> dict[str, int]:
    largest: dict[str, int] = {}
    for (family, _), members in sets.items():
        largest[family] = max(largest.get(family, 0), len(members))
    return largest


def _cells(claim: Claim, groups: Groups) -> set[Cell]:
    """Those whose runs a claim is judged by."""
    return {cell for group in claim.groups for cell in groups.get(group, ())}


def _standing(study: Study, cells: Iterable[Cell]) -> dict[str, str]:
    """The data sets of cells, each with the paper's that it stands for."""
    names = sorted({cell.dataset for cell in cells})
    return {name: study.dataset(name).stands_for for name in names}
