"""The rules by which a comparison, and a claim made of comparisons, gets its verdict.

docs/statistics.md, "Verdicts", has them in words; a row there can be checked by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from autoloss.stats import Comparison, holm

ROW_ERRORS = 2.0  # standard errors over test rows: a gain that holds is no smaller
# What a comparison, or a claim, comes to.
HOLDS, FAILS, MIXED, OPEN, MISSING = OUTCOMES = ("holds", "fails", "mixed", "open", "not attempted")
# A claim's in words, in the order in which a reader meets them: here, and with the paper's own data
# and scale.
WORDS = {
    HOLDS: ("holds here", "reproduced"),
    FAILS: ("does not hold here", "not reproduced"),
    MIXED: ("mixed", "reproduced in part"),
    OPEN: ("cannot be told here", "cannot be told"),
    MISSING: ("not attempted here", "not attempted"),
}


@dataclass(frozen=True)
class Tested:
    """A comparison with both tests made: what its outcome depends on.

    `key` says what is compared: two of a family with one key are one comparison to Holm. `zero` are
    the statistics of its gains, `least` those of the gains less the smallest effect of interest,
    `minimum`. `over_rows` is the least gain that its test rows can show.
    """

    key: Hashable
    family: Hashable
    minimum: float
    zero: Comparison
    least: Comparison
    over_rows: float = 0.0

    @property
    def to_hold(self) -> float:
        """The least estimate that holds: of interest, and no less than the test rows can show."""
        return max(self.minimum, self.over_rows)


@dataclass(frozen=True)
class Decision:
    """What a comparison comes to, with the p-values that decide: corrected, the larger of two."""

    outcome: str
    p_holds: float
    p_fails: float
    p_worse: float
    of: int
    """Comparisons in the family: over these p_holds and p_worse are corrected."""
    questions: int
    """These with each smallest effect of interest that claims have for them: over these p_fails."""


def decide(tested: Sequence[Tested], alpha: float) -> list[Decision]:
    """What all comparisons of a study come to; Holm within each family.

    Each p is two-sided where the estimate lies on the side that is tested, and 1 on the other: so
    all of them rise together when gains fall (or fall together), and Holm with them.
    """
    holds = _corrected(tested, lambda t: (t.key, t.zero, t.zero.gain > 0))
    worse = _corrected(tested, lambda t: (t.key, t.zero, t.zero.gain < 0))
    fails = _corrected(tested, lambda t: ((t.key, t.minimum), t.least, t.least.gain < 0))
    sizes = Counter(family for family, _ in {(t.family, t.key) for t in tested})
    questions = Counter(family for family, *_ in {(t.family, t.key, t.minimum) for t in tested})
    return [
        Decision(_outcome(t, p, q, alpha), p, q, r, sizes[t.family], questions[t.family])
        for t, p, q, r in zip(tested, holds, fails, worse, strict=True)
    ]


def _outcome(comparison: Tested, p_holds: float, p_fails: float, alpha: float) -> str:
    if p_fails < alpha:
        return FAILS
    return HOLDS if p_holds < alpha and comparison.zero.gain >= comparison.to_hold else OPEN


def _corrected(
    tested: Sequence[Tested], test: Callable[[Tested], tuple[Hashable, Comparison, bool]]
) -> list[float]:
    """Of each comparison the larger p of the sign-flip and the t-test, each Holm-corrected."""
    largest = [0.0] * len(tested)
    for name in ("p_permutation", "p_t"):
        families: dict[Hashable, dict[Hashable, float]] = {}
        for comparison in tested:
            key, statistics, on_this_side = test(comparison)
            p = getattr(statistics, name) if on_this_side else 1.0
            families.setdefault(comparison.family, {})[key] = p
        corrected = {
            family: dict(zip(ps, map(float, holm(list(ps.values()))), strict=True))
            for family, ps in families.items()
        }
        for k, comparison in enumerate(tested):
            largest[k] = max(largest[k], corrected[comparison.family][test(comparison)[0]])
    return largest


def together(outcomes: Iterable[str]) -> str:
    """What a claim of several comparisons comes to."""
    present = set(outcomes)
    if present <= {MISSING}:
        return MISSING
    if FAILS in present:
        return MIXED if HOLDS in present else FAILS
    return HOLDS if present == {HOLDS} else OPEN
