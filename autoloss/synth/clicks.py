"""Clicks with a planted region, in which another loss is right than elsewhere.

In the region (`segment` a, a third of the rows) a score decides the label, with little noise, and
mostly for a click: there a flipped label is an error, and the hinge on probabilities, which heads
for the likelier label, is right. Elsewhere a label is a draw, of a probability below 0.45: there
cross-entropy is right, and the hinge ruinous. Only the region has likely clicks, so that (y, y_hat)
tells the two apart. `tests/behaviour/planted.py` has the same in small.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import expit

from autoloss.synth.planted import Planted, Scores, Vocabulary

BLOCK_ROWS = 1 << 16
SEGMENTS = {"b": 1 / 2, "a": 1 / 3, "c": 1 / 6}  # so far apart that ids by frequency are the same
REGION = "a"
FIELDS = {
    "user": Vocabulary(3000),
    "item": Vocabulary(1500),
    "site": Vocabulary(200),
    "place": Vocabulary(100),
    "category": Vocabulary(60),
    "hour": Vocabulary(24),
    "device": Vocabulary(12),
}
DECIDED, NOISE = 1.0, 0.25  # in the region: a click where score + 1 + noise is above 0
STEEP, LIKELIEST = 2.0, 0.45  # elsewhere: its probability is 0.45 sigmoid(2 score)


def text(rows: int, seed: int) -> Iterator[bytes]:
    """The CSV, block by block; the first rows of a longer one of the same seed are a shorter."""
    model = Planted(list(FIELDS.values()), seed)
    for block, start in enumerate(range(0, rows, BLOCK_ROWS)):
        random = model.random(block)
        ranks = model.ranks(random, BLOCK_ROWS)
        score = model.scores(ranks)
        segment = random.choice(list(SEGMENTS), BLOCK_ROWS, p=list(SEGMENTS.values()))
        columns = [segment, *ranks, clicks(score, segment == REGION, random)]
        names = ["segment", *FIELDS, "click"]
        frame = pl.DataFrame([pl.Series(*column) for column in zip(names, columns, strict=True)])
        yield frame.head(rows - start).write_csv(include_header=block == 0).encode()


def clicks(
    score: Scores, inside: npt.NDArray[np.bool_], random: np.random.Generator
) -> npt.NDArray[np.int8]:
    """Labels of rows `[n]`: inside of the region by their score, elsewhere drawn."""
    decided = score + DECIDED + NOISE * random.normal(size=len(score)) > 0
    drawn = random.random(len(score)) < LIKELIEST * expit(STEEP * score)
    return np.where(inside, decided, drawn).astype(np.int8)
