"""How often the rules of docs/statistics.md, "Verdicts", find what was planted: its table.

    nice -n 19 python benchmarks/verdict_power.py [--studies 1000]

A planted study is one family of comparisons by twelve seeds, in cells of four that share our runs.
The first comparison has a true gain, the others have none. Statistics are computed here, by
enumeration; Holm and the rules are the project's own, and so is the stated chance that the first
holds. Gains are in standard deviations of a paired gain over seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
from scipy import stats

from autoloss.claims.power import Design
from autoloss.claims.rules import FAILS, HOLDS, OPEN, Tested, decide
from autoloss.stats import Comparison

ALPHA, IN_A_CELL, SEEDS = 0.05, 4, 12
OVERLAP = 0.125  # test rows for each training row, where every seed has a split of 80 to 10 to 10


def planted(rng, studies, comparisons, n, gain, test_to_train=0.0):
    """Gains [studies, comparisons, n]: sd 1, correlated by cells and, with splits, over seeds."""
    cells = -(-comparisons // IN_A_CELL)
    ours = rng.normal(size=(studies, cells, n)).repeat(IN_A_CELL, axis=1)[:, :comparisons]
    d = (ours - rng.normal(size=(studies, comparisons, n))) / np.sqrt(2)
    d += np.sqrt(test_to_train) * rng.normal(size=(studies, comparisons, 1))
    d[:, 0] += gain
    return d


def statistics(d, test_to_train=0.0) -> list[Comparison]:
    """The exact and the corrected t-test of gains [rows, n]."""
    n, mean, sd = d.shape[1], d.mean(axis=1), d.std(axis=1, ddof=1)
    signs = 1 - 2 * (np.arange(2 ** (n - 1))[:, None] >> np.arange(n) & 1)
    bound = np.abs(d.sum(axis=1))[:, None] - 1e-9
    exact = [(np.abs(part @ signs.T) >= b).mean(axis=1) for part, b in chunks(d, bound)]
    error = np.maximum(sd * np.sqrt(1 / n + test_to_train), np.finfo(float).tiny)
    t = mean / error
    p_t = 2 * stats.t.sf(np.abs(t), n - 1)
    none = np.full(len(d), np.nan)
    columns = (mean, sd, none, none, np.concatenate(exact), none, p_t, none, none)
    return [Comparison(n, *map(float, row)) for row in zip(*columns, strict=True)]


def chunks(*arrays, size=2000):
    """The arrays in parts of some rows."""
    return zip(*(np.array_split(a, -(-len(a) // size)) for a in arrays), strict=True)


def outcomes(d, minimum, test_to_train=0.0):
    """What each comparison of each study comes to [studies, comparisons], as words."""
    comparisons, n = d.shape[1:]
    zero, least = (statistics(d.reshape(-1, n) - m, test_to_train) for m in (0.0, minimum))
    rows = [
        Tested(k % comparisons, "all", minimum, *both)
        for k, both in enumerate(zip(zero, least, strict=True))
    ]
    ends = range(0, len(rows), comparisons)
    found = [decide(rows[start : start + comparisons], ALPHA) for start in ends]
    return np.array([[one.outcome for one in study] for study in found])


def table(studies: int) -> Iterator[str]:
    """A row per family, smallest effect of interest, and true gain."""
    heads = ["splits", "comparisons", "of interest", "true gain", "stated"]
    heads += ["holds", "fails", "open", "studies with a false *holds*"]
    yield f"| {' | '.join(heads)} |\n|---{'|---:' * (len(heads) - 1)}|"
    for test_to_train in (0.0, OVERLAP):
        for comparisons in (1, 8, 32, 64):
            for minimum, gain in ((0.5, 0.0), (0.5, 0.5), (0.5, 1.0), (0.5, 1.5), (1.0, 2.0)):
                rng = np.random.default_rng([comparisons, int(10 * gain)])
                d = planted(rng, studies, comparisons, SEEDS, gain, test_to_train)
                found = outcomes(d, minimum, test_to_train)
                stated = Design(1.0, minimum, comparisons, ALPHA, test_to_train).chance(gain, SEEDS)
                shares = [stated, *((found[:, 0] == word).mean() for word in (HOLDS, FAILS, OPEN))]
                false = (found[:, 1:] == HOLDS).any(axis=1) | ((found[:, 0] == HOLDS) & (gain == 0))
                splits = "one a seed" if test_to_train else "one"
                texts = [f"{share:.2f}" for share in shares] + [f"{false.mean():.3f}"]
                places = [splits, str(comparisons), f"{minimum:g}", f"{gain:g}"]
                yield f"| {' | '.join(places + texts)} |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--studies", type=int, default=1000)
    for text in table(parser.parse_args().studies):
        print(text, flush=True)
