"""Which split of the rows runs are of, and what that leaves of independence between them.

Seed s trains and tests on split s mod the number of splits, for every method the same. Runs of one
split share its rows, so they are no independent answers to what other rows would say; and the
training sets of two splits overlap (Nadeau and Bengio, Machine Learning 52, 2003).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd

from autoloss.errors import RecordError


class Splits(NamedTuple):
    """The split of each seed, and test rows for each training row; 0 where all share one split."""

    of: pd.Series[int]
    test_to_train: float

    @property
    def pairs(self) -> str:
        """What `compare` takes for pairs, in a word."""
        return "splits" if 1 < self.of.nunique() < len(self.of) else "seeds"

    def options(self, seeds: pd.Index[Any]) -> dict[str, Any]:
        """What `compare` takes for pairs of these seeds, which may be all of one split."""
        of = self.of[seeds]
        overlap = self.test_to_train if of.nunique() > 1 else 0.0
        return {"splits": of.to_numpy(), "test_to_train": overlap}


def splits_of(runs: pd.DataFrame) -> Splits:
    """The splits of runs on one data set, from the columns `split` and `test_to_train`.

    Without the first all runs are of one split.

    Raises:
        RecordError: a seed has runs of several splits, which are no pairs; or there are several
            splits and not one share of test rows, above 0, of all.
    """
    split = runs["split"] if "split" in runs else pd.Series(0, runs.index)
    of = split.groupby(runs["seed"]).agg(["min", "max"])
    if len(odd := of[of["min"] != of["max"]]):
        problem = f"seed {odd.index[0]} has runs of splits {odd['min'].iloc[0]} and more"
        raise _refused(runs, problem)
    if of["min"].nunique() < 2:
        return Splits(of["min"], 0.0)
    shares = sorted(runs["test_to_train"].dropna().unique()) if "test_to_train" in runs else []
    if len(shares) != 1 or not shares[0] > 0:
        found = ", ".join(f"{share:g}" for share in shares) or "none"
        problem = f"runs of several splits need one test_to_train above 0, found {found}"
        raise _refused(runs, problem)
    return Splits(of["min"], float(shares[0]))


def _refused(runs: pd.DataFrame, problem: str) -> RecordError:
    mend = "run `snakemake --cores all`: it makes anew what is of another preparation of the data"
    return RecordError(f"runs on {runs['dataset'].iloc[0]}", problem, mend)
