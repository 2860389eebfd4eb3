"""One method against another over several cells, without taking two data sets for many.

With two data sets a variance between data sets has one degree of freedom: DerSimonian-Laird's would
be an artefact, and an interval for "a new data set" a pretence. So the pooled gain is the plain
mean over the cells that there are, its interval is about the seeds in just these cells, and the
spread between cells is shown beside it as it is: smallest, largest, standard deviation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from autoloss.claims.margins import rope
from autoloss.claims.measured import Measured
from autoloss.claims.verdicts import Pooled, Row
from autoloss.config import StatisticsOptions
from autoloss.stats import compare


def pool(
    measured: Sequence[Measured], rows: Sequence[Row], options: StatisticsOptions
) -> Iterator[Pooled]:
    """A summary per metric and pair of methods that has two assessable cells or more."""
    found: dict[tuple[str, str, str], list[tuple[Measured, Row]]] = {}
    for one, row in zip(measured, rows, strict=True):
        if row.counts and one.comparison is not None:
            found.setdefault((row.metric, row.ours, row.other), []).append((one, row))
    for (metric, ours, other), cells in found.items():
        series = [one.answer.gains for one, _ in cells if one.answer.gains is not None]
        gains = pd.concat(series, axis=1, join="inner")
        if len(cells) > 1 and len(gains) > 1:
            yield _pooled(metric, ours, other, gains, [row for _, row in cells], options)


def _pooled(
    metric: str,
    ours: str,
    other: str,
    gains: pd.DataFrame,
    rows: Sequence[Row],
    options: StatisticsOptions,
) -> Pooled:
    """`gains` has a row per seed and a column per cell."""
    cells, by_seed = gains.mean().to_numpy(), gains.mean(axis=1).to_numpy()
    found = compare(
        by_seed,
        np.zeros_like(by_seed),
        higher_is_better=True,
        confidence=options.confidence,
        resamples=options.resamples,
    )
    above, within, below = rope(by_seed, rows[0].minimum)
    return Pooled(
        metric=metric,
        ours=ours,
        other=other,
        cells=len(rows),
        datasets=len({row.dataset for row in rows}),
        n=found.n,
        gain=found.gain,
        low=found.low,
        high=found.high,
        smallest=float(cells.min()),
        largest=float(cells.max()),
        spread=float(cells.std(ddof=1)),
        positive=int(np.count_nonzero(cells > 0)),
        improvement=float(np.mean([row.improvement for row in rows])),
        posterior_above=above,
        posterior_within=within,
        posterior_below=below,
    )
