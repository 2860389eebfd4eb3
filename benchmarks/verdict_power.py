"""How often the rules of docs/statistics.md, "Verdicts", find what was planted: its tables.

    nice -n 19 python benchmarks/verdict_power.py [--studies 2000]

A planted study is one family of comparisons of our method with others, paired by seed, in cells of
four comparisons that share our runs. All have one true gain, in units of the minimum effect, which
is `--ratio` standard deviations of a paired difference. The tests, Holm and the rules are the
project's own.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import numpy as np

from autoloss.claims.margins import below_p, equivalence_p, power, upper_p
from autoloss.claims.rules import (
    DIRECTION,
    EQUIVALENT,
    INCONCLUSIVE,
    NOT,
    REPRODUCED,
    Decision,
    Tested,
    conjunction,
    decide,
)

ALPHA, IN_A_CELL = 0.05, 4
WORLDS = {  # true gains; the published ones are twice the minimum or more
    **{"clear win": 3.0, "published win": 2.0, "minimum win": 1.0, "tiny win": 0.25},
    **{"none": 0.0, "reversed": -2.0},
}
SEEDS, FAMILIES = (6, 12, 20), (1, 8, 32)


@dataclass(frozen=True)
class Rates:
    """Shares of comparisons and of claims, by verdict; and of studies with any false finding."""

    rows: dict[str, float]
    equivalent: float
    claims: dict[str, float]
    false: float


def differences(rng, studies, comparisons, n, gain, skewed=False):
    """Paired gains [studies, comparisons, n] with sd 1; a cell's share half of their variance."""
    draw = (lambda size: rng.exponential(1, size) - 1) if skewed else rng.normal
    cells = -(-comparisons // IN_A_CELL)
    ours = draw(size=(studies, cells, n)).repeat(IN_A_CELL, axis=1)[:, :comparisons]
    others = draw(size=(studies, comparisons, n))
    return gain + (ours - others if not skewed else ours + others) / np.sqrt(2)


def tested(d, minimum, key, family) -> Tested:
    """One comparison's tests; the two-sided p is twice the smaller one-sided one."""
    p = min(1.0, 2 * min(upper_p(d), upper_p(-d)))
    below, equal = below_p(d, minimum), equivalence_p(d, minimum)
    return Tested(key, family, False, float(d.mean()), minimum, p, below, equal)


def simulate(rng, n, comparisons, gain, studies, ratio=1.0, skewed=False) -> list[list[Decision]]:
    """Decisions per study; `gain` in minimum effects, each `ratio` sd."""
    d = differences(rng, studies, comparisons, n, gain * ratio, skewed)
    decisions = []
    for study in d:
        family = [tested(one, ratio, key=k, family="all") for k, one in enumerate(study)]
        decisions.append(decide(family, ALPHA))
    return decisions


def is_false(one: Decision, gain: float) -> bool:
    """Whether a decision says of a true `gain`, in minimum effects, what is not so."""
    more = one.verdict in (REPRODUCED, DIRECTION)
    less = one.verdict == NOT and one.detail not in (EQUIVALENT, "")
    return (
        (more and gain <= 0)
        or (one.detail == EQUIVALENT and abs(gain) >= 1)
        or (less and gain >= 1)
        or (one.detail == "reversed" and gain >= 0)
    )


def rates(decisions: list[list[Decision]], gain: float) -> Rates:
    """What came of the planted gain."""
    rows = [one for study in decisions for one in study]
    claims = [
        conjunction(one.verdict for one in study[start : start + IN_A_CELL])
        for study in decisions
        for start in range(0, len(study), IN_A_CELL)
    ]
    return Rates(
        shares([one.verdict for one in rows]),
        float(np.mean([one.detail == EQUIVALENT for one in rows])),
        shares(claims),
        float(np.mean([any(is_false(one, gain) for one in study) for study in decisions])),
    )


def shares(verdicts: list[str]) -> dict[str, float]:
    """Verdict -> its share."""
    counts = Counter(verdicts)
    return {
        name: counts[name] / len(verdicts) for name in (REPRODUCED, DIRECTION, NOT, INCONCLUSIVE)
    }


def table(studies: int, ratio: float) -> Iterator[str]:
    """The table of docs/statistics.md: a row per world and family, at 6 / 12 / 20 seeds."""
    yield (
        "| true gain / δ | family | reproduced | direction only | not reproduced | inconclusive | "
        "equivalent | claim of 4: reproduced | not | any false finding |"
    )
    yield "|---|---:|---|---|---|---|---|---|---|---|"
    skewed = {"none, skewed": 0.0}
    for world, gain in {**WORLDS, **skewed}.items():
        for comparisons in FAMILIES[-1:] if world in skewed else FAMILIES:
            found = []
            for n in SEEDS:
                rng = np.random.default_rng([n, comparisons, int(10 * (gain + 5))])
                planted = simulate(rng, n, comparisons, gain, studies, ratio, world in skewed)
                found.append(rates(planted, gain))
            yield line(f"{world}, {gain:g}", comparisons, found)


def line(world: str, comparisons: int, found: list[Rates]) -> str:
    """One row; each cell has a share per number of seeds."""
    columns = [[one.rows[v] for one in found] for v in (REPRODUCED, DIRECTION, NOT, INCONCLUSIVE)]
    columns.append([one.equivalent for one in found])
    columns += [[one.claims[v] for one in found] for v in (REPRODUCED, NOT)]
    cells = [" / ".join(f"{share:.2f}" for share in column) for column in columns]
    if comparisons < IN_A_CELL:
        cells[-2:] = ["–", "–"]
    false = " / ".join(f"{one.false:.3f}" for one in found)
    return f"| {world} | {comparisons} | {' | '.join(cells)} | {false} |"


def powers(studies: int) -> Iterator[str]:
    """Power by formula against power by simulation: the first step of Holm, exact test."""
    yield "| n | family | minimum / sd | formula | simulated |"
    yield "|---:|---:|---:|---:|---:|"
    for n in SEEDS:
        for comparisons in FAMILIES:
            for ratio in (0.5, 1.0, 2.0):
                rng = np.random.default_rng([n, comparisons, int(10 * ratio)])
                d = rng.normal(ratio, 1, (studies, n))
                found = np.mean([2 * upper_p(one) * comparisons < ALPHA for one in d])
                said = power(n, 1.0, ratio, comparisons, ALPHA)
                yield f"| {n} | {comparisons} | {ratio} | {said:.3f} | {found:.3f} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument("--ratio", type=float, default=1.0, help="minimum effect / sd")
    options = parser.parse_args()
    for text in chain(table(options.studies, options.ratio), [""], powers(10 * options.studies)):
        print(text, flush=True)
