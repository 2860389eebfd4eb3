"""What figures are drawn from: indexes, statistics and records; and which runs they took."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import pandas as pd

from autoloss.methods.info import Info
from autoloss.records.schema import Record
from autoloss.records.store import read_record
from autoloss.report.analysis import read_index
from autoloss.report.figures._intervals import t_interval
from autoloss.report.frames import cell_of, parts_of, rows_of
from autoloss.stats import Splits, splits_of
from autoloss.study.study import Study


class Source:
    """A study's runs, for one figure; `runs` lists the ids of those that were taken."""

    def __init__(self, study: Study, groups: Sequence[str] = ()) -> None:
        self.study, self.groups = study, tuple(groups)
        self._taken: dict[str, None] = {}
        self._failed: set[str] = set()
        self._left_out: dict[str, str] = {}  # by a method's label, why
        self._splits: dict[str, Splits] = {}

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
        self._splits |= {name: splits_of(runs) for name, runs in parts_of(index, "dataset")}
        return index[ok]

    def leave_out(self, runs: Mapping[str, str], why: str) -> None:
        """Runs that were taken and cannot be shown, by id their methods' labels, and why."""
        for run, label in runs.items():
            self._taken.pop(run, None)
            self._left_out[label] = why

    def methods(self, choose: Callable[[Info], bool], *, ours: bool = True) -> list[str]:
        """The methods of the figure's groups that `choose` takes by their metadata.

        With `ours`, those that the groups are about are among them, whatever they are.
        """
        study = self.study
        own = {method for group in self.groups for method in study.ours(group)} if ours else set()
        names = dict.fromkeys(c.method for group in self.groups for c in study.cells(group))
        return [name for name in names if name in own or choose(study.entry(name).info)]

    def records(self, index: pd.DataFrame) -> Iterator[Record]:
        """The records of an index's runs."""
        for row in rows_of(index):
            yield read_record(self.study.record_file(cell_of(row), row["seed"]))

    def summarise(
        self, frame: pd.DataFrame, keys: Sequence[str], value: str, *, shares: bool = False
    ) -> pd.DataFrame:
        """n, mean and its t-interval over runs, per group of `keys`, in order of appearance.

        Runs of one split of several are averaged first: n is then the number of splits. The
        interval of `shares` stays within 0 and 1.
        """
        if any(splits.pairs == "splits" for splits in self._splits.values()):
            frame = frame.assign(unit=self.units(frame))
            frame = frame.groupby([*keys, "unit"], sort=False)[value].mean().reset_index()
        groups = frame.groupby(list(keys), sort=False)[value]
        summary = groups.agg(n="count", mean="mean", error="sem").reset_index()
        mean, error, n = (summary[key] for key in ("mean", "error", "n"))
        error = error * self.overlap(n)
        ends = t_interval(mean, error, n, self.confidence, shares=shares)
        summary["low"], summary["high"] = ends
        return summary.drop(columns="error")

    def units(self, frame: pd.DataFrame) -> list[int]:
        """By row what an interval takes for independent: its run's seed, or a split of several."""
        of = {name: splits.of.to_dict() for name, splits in self._splits.items()}
        shared = {name for name, splits in self._splits.items() if splits.pairs == "splits"}
        rows = zip(frame["dataset"], frame["seed"], strict=True)
        return [of[name][seed] if name in shared else seed for name, seed in rows]

    def overlap(self, n: pd.Series[int]) -> pd.Series[float]:
        """How much wider the interval of a mean over n splits is for their overlap; 1 for one.

        As that of a gain: sd √(1/n + ρ) over sd / √n, ρ being the largest of the data sets'.
        """
        shares = [splits.test_to_train for splits in self._splits.values()]
        return (1 + n * max(shares, default=0.0)) ** 0.5

    @property
    def confidence(self) -> float:
        """Of every interval."""
        return self.study.config.statistics.confidence

    def caption(self, text: str) -> str:
        """A figure's caption with the study's numbers, and which runs are not in the figure.

        `{seeds}` is how many there are, `{interval}` that of a mean or a paired gain,
        `{share_interval}` that of a mean of shares, `{ours}` the method that the study is about.
        """
        seeds, level = self.study.config.study.seeds, f"{self.confidence * 100:g} %"
        of = max((splits.of.nunique() for splits in self._splits.values()), default=1)
        over = " corrected for the overlap of splits" if of > 1 else ""
        words = {
            "ours": self.study.label(self.study.subject),
            "seeds": f"{seeds} seed{'s' * (seeds != 1)}" + f" on {of} splits" * (of > 1),
            "interval": f"{level} t-interval{over}",
            "share_interval": f"{level} t-interval{over} of the log odds",
        }
        failed = len(self._failed)
        left_out = f" {failed} failed run{'s are' if failed > 1 else ' is'} left out."
        said = "".join(f" {label} is left out: {why}." for label, why in self._left_out.items())
        return text.format(**words) + said + left_out * (failed > 0)


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
