"""What is known of claims before a run: what one's own lack, and what so many seeds can decide.

Imports neither torch nor pandas. What the paper's claims lack is in the verdicts alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from autoloss.claims.measures import MEASURES
from autoloss.claims.schema import (
    OWN_CLAIM,
    Claim,
    Registry,
    claimed_groups,
    claims_of,
    load_claims,
    unmet,
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
    attempted = [claim for claim in claims if asked[claim.id]]
    yield from _undecidable(study, registry, attempted, asked)


def _compared(study: Study, claim: Claim, groups: Groups) -> set[Compared]:
    """The comparisons of a claim that the study will have the runs of."""
    if claim.protocol not in (None, study.config.protocol):
        return set()
    cells = _cells(claim, groups)
    standing = _standing(study, cells)
    if unmet(study, claim, standing):
        return set()
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
    if lacks := unmet(study, claim, standing):
        return lacks
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
    study: Study, registry: Registry, claims: Sequence[Claim], asked: Mapping[str, set[Compared]]
) -> Iterator[str]:
    """A sentence on the claims of which so many seeds can tell nothing, or but one way.

    A claim holds by all of its metrics and fails by one. What holds is asked of a comparison once,
    what fails with each smallest effect that claims have for it (`rules.decide`).
    """
    alpha, (pairs, name) = study.config.statistics.alpha, study.pairs
    hold, fail = _tests(registry, claims, asked)
    short: dict[str, dict[str, int]] = {"told": {}, "found not to hold": {}, "found to hold": {}}
    for claim in claims:
        metrics = [(claim.family, m) for m in claim.metrics if not MEASURES[m].counted]
        if not metrics:
            continue
        holds, fails = max(hold[m] for m in metrics), min(fail[m] for m in metrics)
        if len(metrics) < len(claim.metrics):  # by what is counted it may fail without a test
            fails = 0
        sizes = {"told": min(holds, fails), "found not to hold": fails, "found to hold": holds}
        for what, size in sizes.items():
            if not can_be_significant(pairs, size, alpha):
                short[what][claim.id] = size
                break
    for what, sizes in short.items():
        if sizes:
            largest, some = max(sizes.values()), len({*sizes.values()}) > 1
            yield (
                f"Claims that cannot be {what} with study.{name}: {pairs}: "
                f"{_named(claims, sizes)}. Over {'as many as ' * some}{largest} "
                f"test{'s' * (largest > 1)} by a metric Holm needs "
                f"{seeds_needed(largest, alpha)} {name}."
            )


def _tests(
    registry: Registry, claims: Iterable[Claim], asked: Mapping[str, set[Compared]]
) -> tuple[Counter[tuple[str, str]], Counter[tuple[str, str]]]:
    """Of each family and metric how many comparisons hold or not, and how many fail or not."""
    tests = {
        (claim.family, metric, one, registry.minimum(claim, metric).size)
        for claim in claims
        for metric in claim.metrics
        for one in asked[claim.id]
    }
    compared = {(family, metric, one) for family, metric, one, _ in tests}
    return Counter(key[:2] for key in compared), Counter(key[:2] for key in tests)


def _named(claims: Iterable[Claim], ids: Collection[str]) -> str:
    """Claims by family, or by name where the others of their family are not among them."""
    families: dict[str, list[str]] = {}
    for claim in claims:
        families.setdefault(claim.family, []).append(claim.id)
    return ", ".join(
        f"all of '{family}'" if among == members else ", ".join(among)
        for family, members in families.items()
        if (among := [name for name in members if name in ids])
    )


def _cells(claim: Claim, groups: Groups) -> set[Cell]:
    """Those whose runs a claim is judged by."""
    return {cell for group in claim.groups for cell in groups.get(group, ())}


def _standing(study: Study, cells: Iterable[Cell]) -> dict[str, str]:
    """The data sets of cells, each with the paper's that it stands for."""
    names = sorted({cell.dataset for cell in cells})
    return {name: study.dataset(name).stands_for for name in names}
