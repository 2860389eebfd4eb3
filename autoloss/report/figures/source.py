"""What figures are drawn from: indexes, statistics and records; and which runs they took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd
from scipy import stats

from autoloss.records.schema import Record
from autoloss.records.store import read_record
from autoloss.report.frames import cell_of, rows_of
from autoloss.report.products import read_index
from autoloss.study import Study


class Source:
    """A study's runs, for one figure; `runs` lists the ids of those that were taken."""

    def __init__(self, study: Study, groups: Sequence[str] = ()) -> None:
        self.study, self.groups = study, tuple(groups)
        self._taken: dict[str, None] = {}

    @property
    def runs(self) -> list[str]:
        """Ids of the runs taken so far, in order."""
        return list(self._taken)

    def index(self, methods: Iterable[str] | None = None) -> pd.DataFrame:
        """The runs of the figure's groups that are ok, each once; only `methods`, if given."""
        index = pd.concat([read_index(self.study, group) for group in self.groups])
        index = index[index["status"] == "ok"].drop_duplicates("run_id")
        if methods is not None:
            index = index[index["method"].isin(list(methods))]
        self._taken |= dict.fromkeys(index["run_id"])
        return index

    def records(self, index: pd.DataFrame) -> Iterator[Record]:
        """The records of an index's runs."""
        for row in rows_of(index):
            yield read_record(self.study.record_file(cell_of(row), row["seed"]))

    def summarise(self, frame: pd.DataFrame, keys: Sequence[str], value: str) -> pd.DataFrame:
        """n, mean and its t-interval over seeds, per group of `keys`, in order of appearance."""
        groups = frame.groupby(list(keys), sort=False)[value]
        found = groups.agg(n="count", mean="mean", sd="std").reset_index()
        half = stats.t.ppf((1 + self.confidence) / 2, (found["n"] - 1).clip(lower=1))
        half = (half * found["sd"] / found["n"] ** 0.5).fillna(0.0)
        found["low"], found["high"] = found["mean"] - half, found["mean"] + half
        return found.drop(columns="sd")

    @property
    def confidence(self) -> float:
        """Of every interval."""
        return self.study.config.statistics.confidence
