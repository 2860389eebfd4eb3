"""Rows of skewed values, and a factorisation model that says how they score.

A value's rank in its field follows Zipf's law. A row's score is the standardised
Σ_f w(x_f) + Σ_{f<g} ⟨v(x_f), v(x_g)⟩. All is a function of the seed, whatever the number of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ranks = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

SHARED = 4096  # values of a field with a weight of their own; rarer ones share these
FACTORS = 4
SAMPLE = 1 << 17  # rows by which scores are standardised and thresholds set
_MODEL, _SAMPLE, _ROWS = range(3)  # streams of random numbers of a seed


@dataclass(frozen=True)
class Vocabulary:
    """The values of a field: how many, how often one is missing, whether it is a count.

    A count's rank is its size, and near counts score alike, as they fall into one bucket.
    """

    size: int
    missing: float = 0.0
    count: bool = False


class Planted:
    """The planted model of `fields`, and rows drawn for it."""

    def __init__(self, fields: Sequence[Vocabulary], seed: int) -> None:
        self.fields, self.seed = fields, seed
        random = np.random.default_rng([seed, _MODEL])
        weights = random.normal(0, 1, (len(fields), SHARED, 1))
        # The pairs together weigh as much as the values.
        factors = random.normal(0, len(fields) ** -0.5, (len(fields), SHARED, FACTORS))
        squares = np.square(factors).sum(axis=2, keepdims=True)
        self._table = np.concatenate([weights, squares, factors], axis=2, dtype=np.float32)
        self._mean, self._deviation = 0.0, 1.0
        self.sample = self.scores(self.ranks(np.random.default_rng([seed, _SAMPLE]), SAMPLE))
        self._mean, self._deviation = float(self.sample.mean()), float(self.sample.std())
        self.sample = (self.sample - self._mean) / self._deviation

    def random(self, block: int) -> np.random.Generator:
        """The random numbers of a block of rows."""
        return np.random.default_rng([self.seed, _ROWS, block])

    def ranks(self, random: np.random.Generator, rows: int) -> Ranks:
        """Ranks `[fields, rows]`, 1 the most frequent value; 0 where a value is missing."""
        ranks = np.empty((len(self.fields), rows), dtype=np.int64)
        for k, field in enumerate(self.fields):
            # ⌊(n + 1)^u⌋ is r with probability ln((r + 1)/r) / ln(n + 1), which is Zipf's 1/r.
            uniform = random.random(rows)
            ranks[k] = np.exp(uniform * np.log(field.size + 1))
            np.minimum(ranks[k], field.size, out=ranks[k])
            if field.missing:
                ranks[k][random.random(rows) < field.missing] = 0
        return ranks

    def scores(self, ranks: Ranks) -> Scores:
        """Scores of rows, of mean 0 and deviation 1 over the rows that are drawn."""
        sums = np.zeros((ranks.shape[1], 2 + FACTORS), dtype=np.float32)
        for k, field in enumerate(self.fields):
            places = 2 * np.log1p(ranks[k]) if field.count else ranks[k]
            sums += self._table[k].take(places.astype(np.int64) % SHARED, axis=0)
        # Σ_{f<g} ⟨v_f, v_g⟩ = (|Σ_f v_f|² − Σ_f |v_f|²) / 2
        pairs = (np.square(sums[:, 2:]).sum(axis=1) - sums[:, 1]) / 2
        raw = (sums[:, 0] + pairs).astype(np.float64)
        return np.asarray((raw - self._mean) / self._deviation)
