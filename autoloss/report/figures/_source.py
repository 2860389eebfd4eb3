"""What figures are drawn from: indexes, statistics and records; and which runs they took."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from autoloss.records.schema import Record
from autoloss.records.store import read_record
from autoloss.report.analysis import read_index
from autoloss.report.figures._intervals import t_interval
from autoloss.report.frames import cell_of, rows_of
from autoloss.study.study import Study


class Source:
    """A study's runs, for one figure; `runs` lists the ids of those that were taken."""

    def __init__(self, study: Study, groups: Sequence[str] = ()) -> None:
        self.study, self.groups = study, tuple(groups)
        self._taken: dict[str, None] = {}
        self._failed: set[str] = set()

    @property
    def runs(self) -> list[str]:
        """Ids of the runs taken so far, in order."""
        return list(self._taken)

    def index(self, methods: Iterable[str] | None = None) -> pd.DataFrame:
        """The runs of the figure's groups that are ok, each once; only `methods`, if given."""
        index = pd.concat([read_index(self.study, group) for group in self.groups])
        index = index.drop_duplicates("run_id")
        if methods is not None:
            index = index[index["method"].isin(list(methods))]
        ok = index["status"] == "ok"
        self._failed |= set(index["run_id"][~ok])
        self._taken |= dict.fromkeys(index["run_id"][ok])
        return index[ok]

    def records(self, index: pd.DataFrame) -> Iterator[Record]:
        """The records of an index's runs."""
        for row in rows_of(index):
            yield read_record(self.study.record_file(cell_of(row), row["seed"]))

    def summarise(
        self, frame: pd.DataFrame, keys: Sequence[str], value: str, *, shares: bool = False
    ) -> pd.DataFrame:
        """n, mean and its t-interval over runs, per group of `keys`, in order of appearance.

        That of `shares` stays within 0 and 1.
        """
        groups = frame.groupby(list(keys), sort=False)[value]
        summary = groups.agg(n="count", mean="mean", error="sem").reset_index()
        mean, error, n = (summary[key] for key in ("mean", "error", "n"))
        ends = t_interval(mean, error, n, self.confidence, shares=shares)
        summary["low"], summary["high"] = ends
        return summary.drop(columns="error")

    @property
    def confidence(self) -> float:
        """Of every interval."""
        return self.study.config.statistics.confidence

    def caption(self, text: str) -> str:
        """A figure's caption with the study's numbers, and which runs are not in the figure.

        `{seeds}` is how many there are, `{interval}` that of a mean or a paired gain,
        `{share_interval}` that of a mean of shares.
        """
        seeds, level = self.study.config.study.seeds, f"{self.confidence * 100:g} %"
        words = {
            "seeds": f"{seeds} seed{'s' * (seeds != 1)}",
            "interval": f"{level} t-interval",
            "share_interval": f"{level} t-interval of the log odds",
        }
        failed = len(self._failed)
        left_out = f" {failed} failed run{'s are' if failed > 1 else ' is'} left out."
        return text.format(**words) + left_out * (failed > 0)


def carried_forward(epochs: pd.DataFrame, cell: Sequence[str]) -> pd.DataFrame:
    """Rows per epoch with each run's last ones repeated until the longest run of its cell is over.

    Runs stop early, each after its own epoch: a mean over those that still train would jump when
    the worst or the best of them stops. So a run that has stopped keeps its last value, as methods
    are compared over time in black-box optimisation; `training` is False there.

    Args:
        epochs: rows of runs, with `seed` and `epoch`.
        cell: the columns that name a cell.
    """
    epochs = epochs.reset_index(drop=True)
    last = epochs.groupby([*cell, "seed"])["epoch"].transform("max")
    missing = epochs.groupby(list(cell))["epoch"].transform("max") - last
    final = epochs[epochs["epoch"] == last]
    kept = final.loc[final.index.repeat(missing[final.index])]
    kept = kept.assign(epoch=kept["epoch"] + kept.groupby(level=0).cumcount() + 1, training=False)
    return pd.concat([epochs.assign(training=True), kept], ignore_index=True)
