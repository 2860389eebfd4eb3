"""The choices of per-example weightings, from records: what `selection` and `surface` show."""

from __future__ import annotations

from collections.abc import Callable, Collection
from itertools import compress

import pandas as pd

from autoloss.records.schema import Choice
from autoloss.report.figures._source import Source

COLUMNS = ["dataset", "method", "seed", "epoch", "class", "bin", "count", "candidate", "value"]


def choices_of(source: Source, what: str, *, last: bool) -> pd.DataFrame:
    """Per run, epoch, class, bin and candidate: examples (`count`) and `what`, as `value`.

    Of the methods that weigh each example by itself, and the study's first model; only the last
    epoch if `last`. `attrs["bins"]` has the bins. Records have choices of weightings with
    parameters alone: methods without are left out, which the figure's caption says.
    """
    names = source.methods(lambda info: info.weights == "per example", ours=False)
    index = source.index(names)
    index = index[index["model"] == source.study.config.study.models[0]]
    index = index.sort_values("dataset", key=_order(source), kind="stable")
    rows, bins = [], 1
    without: dict[str, str] = {}
    for record in source.records(index):
        if not record.weights.choices:
            without[record.run_id] = source.study.label(record.method)
        epochs = list(enumerate(record.weights.choices, start=1))
        for epoch, choice in epochs[-1:] if last else epochs:
            values = shared(choice) if what == "selection" else getattr(choice, what)
            bins = len(choice.counts[0])
            rows += [
                (record.dataset, record.method, record.seed, epoch, label, k, count, name, value)
                for label, counts in enumerate(choice.counts)
                for k, count in enumerate(counts)
                for name, value in zip(record.weights.candidates, values[label][k], strict=True)
            ]
    source.leave_out(without, "it weighs only examples that it trains on")
    frame = pd.DataFrame(rows, columns=COLUMNS)
    frame.attrs["bins"] = bins
    return frame


def shared(choice: Choice) -> list[list[list[float]]]:
    """The `selection` of a choice; what the largest weights are alike for is shared among them.

    A record gives such a tie to the first candidate: equal weights would seem to choose it always.
    """
    pairs = zip(choice.selection, choice.weights, strict=True)
    return [[*map(_shared, shares, weights)] for shares, weights in pairs]


def _shared(shares: list[float], weights: list[float]) -> list[float]:
    largest = [weight == max(weights) for weight in weights]
    each = sum(compress(shares, largest)) / sum(largest)
    tied = sum(largest) > 1
    pairs = zip(shares, largest, strict=True)
    return [each if tied and alike else share for share, alike in pairs]


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
