"""The choices of per-example weightings, from records: what `selection` and `surface` show."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pandas as pd

from autoloss.report.figures._source import Source

COLUMNS = ["dataset", "method", "seed", "epoch", "class", "bin", "count", "candidate", "value"]


def choices_of(source: Source, what: str, *, last: bool) -> pd.DataFrame:
    """Per run, epoch, class, bin and candidate: examples (`count`) and `what`, as `value`.

    Of the methods that weigh each example by itself, and the study's first model; only the last
    epoch if `last`. `attrs["bins"]` has the bins.
    """
    names = source.methods(lambda info: info.weights == "per example", ours=False)
    index = source.index(names)
    index = index[index["model"] == source.study.config.study.models[0]]
    index = index.sort_values("dataset", key=_order(source), kind="stable")
    rows, bins = [], 1
    for record in source.records(index):
        epochs = list(enumerate(record.weights.choices, start=1))
        for epoch, choice in epochs[-1:] if last else epochs:
            values = getattr(choice, what)
            bins = len(choice.counts[0])
            rows += [
                (record.dataset, record.method, record.seed, epoch, label, k, count, name, value)
                for label, counts in enumerate(choice.counts)
                for k, count in enumerate(counts)
                for name, value in zip(record.weights.candidates, values[label][k], strict=True)
            ]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame.attrs["bins"] = bins
    return frame


def _order(source: Source) -> Callable[[pd.Series[str]], pd.Series[int]]:
    datasets = source.study.config.study.datasets
    return lambda names: names.map({name: k for k, name in enumerate(datasets)})


def most_seeds(summary: pd.DataFrame, units: Collection[int]) -> pd.DataFrame:
    """The means that are over more than half of the seeds, or of what `Source.units` has."""
    return summary[summary["n"] > len(set(units)) / 2].reset_index(drop=True)


def ends_of(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows of each data set's and method's first and last class, which `end` says."""
    classes = frame.groupby(["dataset", "method"])["class"]
    first, last = (frame["class"] == classes.transform(end) for end in ("min", "max"))
    frame = frame.assign(end=first.map({True: "first", False: "last"}))[first | last]
    return frame.sort_values("end", kind="stable")
