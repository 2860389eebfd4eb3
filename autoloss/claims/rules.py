"""The rules by which a comparison, and a claim made of comparisons, gets its verdict.

docs/statistics.md, "Verdicts", has them in words; a row there can be checked by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from autoloss.stats import holm

VERDICTS = REPRODUCED, DIRECTION, NOT, INCONCLUSIVE, UNASSESSABLE = (
    "reproduced",
    "direction only",
    "not reproduced",
    "inconclusive",
    "not assessable",
)
# A conjunction is false if one part is; it is unknown if one part is; else it is as weak as the
# weakest part.
WEAKEST_FIRST = (NOT, UNASSESSABLE, INCONCLUSIVE, DIRECTION, REPRODUCED)
# Of a difference in either direction: "it makes none" is said when nothing is left open.
OPEN_FIRST = (UNASSESSABLE, INCONCLUSIVE, NOT, DIRECTION, REPRODUCED)
# A question that the paper does not answer cannot be reproduced: the same verdicts in other words.
ANSWERS = {REPRODUCED: "holds", NOT: "does not hold"}
EQUIVALENT, REVERSED, SMALLER, UNDERPOWERED = DETAILS = (
    "equivalent",
    "reversed",
    "smaller than the minimum effect",
    "under-powered",
)


@dataclass(frozen=True)
class Tested:
    """An assessable comparison: what its verdict depends on.

    `key` says what is compared: two rows of a family with one key are one comparison to Holm.
    `p_below` is NaN, no test, where the claim is of a difference in either direction.
    """

    key: Hashable
    family: Hashable
    differs: bool
    gain: float
    minimum: float
    p: float
    p_below: float
    p_equivalence: float


@dataclass(frozen=True)
class Decision:
    """A comparison's verdict, with the corrected p-values that it rests on."""

    verdict: str
    detail: str
    p_holm: float
    p_below_holm: float
    p_equivalence_holm: float
    of: int
    """Comparisons in the family."""


def decide(tested: Sequence[Tested], alpha: float) -> list[Decision]:
    """The verdicts of all comparisons of a study; Holm within each family."""
    p = _corrected(tested, lambda one: (one.p, one.key))
    # Against another size the same comparison is another test.
    below = _corrected(tested, lambda one: (one.p_below, (one.key, one.minimum, one.differs)))
    equal = _corrected(tested, lambda one: (one.p_equivalence, (one.key, one.minimum)))
    sizes = Counter(family for family, _ in {(one.family, one.key) for one in tested})
    return [
        Decision(*_verdict(one, a, b, c, alpha), a, b, c, sizes[one.family])
        for one, a, b, c in zip(tested, p, below, equal, strict=True)
    ]


def _corrected(
    tested: Sequence[Tested], test: Callable[[Tested], tuple[float, Hashable]]
) -> list[float]:
    families: dict[Hashable, dict[Hashable, float]] = {}
    for one in tested:
        p, key = test(one)
        families.setdefault(one.family, {})[key] = p
    corrected = {
        family: dict(zip(found, map(float, holm(list(found.values()))), strict=True))
        for family, found in families.items()
    }
    return [corrected[one.family][test(one)[1]] for one in tested]


def _verdict(
    one: Tested, p_holm: float, p_below: float, p_equivalence: float, alpha: float
) -> tuple[str, str]:
    different, equivalent = p_holm < alpha, p_equivalence < alpha
    size = abs(one.gain) if one.differs else one.gain
    if different and size > 0:
        if size >= one.minimum:
            return REPRODUCED, ""
        return DIRECTION, EQUIVALENT if equivalent else ""
    if equivalent:
        return NOT, EQUIVALENT
    if different:
        return NOT, REVERSED
    if p_below < alpha:
        return NOT, SMALLER
    return INCONCLUSIVE, ""


def conjunction(verdicts: Iterable[str], *, differs: bool = False) -> str:
    """The verdict of a claim that asks for all of its comparisons."""
    found = set(verdicts)
    return next(
        verdict for verdict in (OPEN_FIRST if differs else WEAKEST_FIRST) if verdict in found
    )
