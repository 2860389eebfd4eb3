"""The paper's tables and figures beside ours: the pattern in short, then every number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from autoloss.methods.info import OWN
from autoloss.metrics import METRICS, Metric
from autoloss.models import MODELS
from autoloss.records.index import CELL
from autoloss.report.frames import parts_of
from autoloss.report.page.pattern import Pair
from autoloss.report.published import Cells, Key, load_published
from autoloss.report.runs import Runs, label_of
from autoloss.report.table import Grid, Item, number, runs_of
from autoloss.study.cell import Cell
from autoloss.study.study import Study

HOURS = Metric("hours", "Training time, h", higher_is_better=False)
Means = Mapping[tuple[str, str], Mapping[str, Mapping[Key, float]]]  # place; metric; method


@dataclass(frozen=True)
class Versus:
    """A table or figure: the pattern of each data set and model, and grids of all its numbers."""

    title: str
    source: str
    precision: float
    comparable: bool
    short: Grid
    numbers: Sequence[Grid]


def versus(runs: Runs) -> Iterator[Versus]:
    """Everything that the paper has numbers of, and this study has runs of."""
    study, published = runs.study, load_published(runs.study.root)
    for group, title, stated in (
        ("table_2", "Table 2: every method", published.table_2),
        ("table_3", "Table 3: components", published.table_3),
        ("figure_3", "Figure 3: transfer of frozen controllers", published.figure_3),
    ):
        if group in runs.groups:
            ours = means(runs.groups[group], METRICS)
            own = f"{OWN}_frozen" if group == "figure_3" else OWN
            yield from _versus(study, title, stated, ours, own)
    if "figure_4" in runs.groups:
        index = runs.groups["figure_4"]
        hours = index.assign(hours=(index["seconds"] + index["search_seconds"]) / 3600)
        title = "Figure 4 (a): training time, under this machine's load"
        yield from _versus(study, title, published.figure_4_hours, means(hours, ["hours"]), OWN)
        if study.subject != OWN:  # the paper has other frequencies of no other method
            return
        every, title = study.frequencies(), "Figure 4 (b, c): steps between outer steps"
        index = index[index["method"].isin(list(every))]
        by_f = means(index.assign(method=index["method"].map(every)), METRICS)
        yield from _versus(study, title, published.figure_4_frequency, by_f, every.get(OWN, OWN))


def means(index: pd.DataFrame, columns: Iterable[str]) -> Means:
    """Means over the runs that are ok, by data set and model, column, and method."""
    ok, names = index[index["status"] == "ok"], list(columns)
    by_place: dict[tuple[str, str], dict[str, dict[Key, float]]] = {}
    for (dataset, model, method), runs in parts_of(ok, *CELL):
        place = by_place.setdefault((dataset, model), {name: {} for name in names})
        for name in names:
            place[name][method] = float(runs[name].mean())
    return by_place


def _versus(study: Study, title: str, stated: Cells, ours: Means, own: Key) -> Iterator[Versus]:
    """One, if there is a data set and model that both have."""
    short, numbers, datasets = [], [], []
    columns: list[tuple[str, str]] = []
    for (dataset, model), values in ours.items():
        spec = study.dataset(dataset)
        pairs = [
            Pair(METRICS.get(name, HOURS), paper, values[name], own, stated.precision)
            for name, paper in stated.of(spec.stands_for, model).items()
            if name in values
        ]
        if pairs:
            place = f"{MODELS.get(model, model)}, {spec.title} ({spec.stands_for})"
            names = ("rank correlation", "signs of gain")
            columns = [(pair.metric.label, name) for pair in pairs for name in names]
            short.append([Item(place), *(item for pair in pairs for item in _pattern(pair))])
            numbers.append(_numbers(study, Cell(dataset, model, ""), place, pairs))
            datasets.append(dataset)
    if numbers:
        grid = Grid("The pattern", "model, data set (of the paper)", columns, short)
        comparable = study.is_the_papers(datasets)
        yield Versus(title, stated.source, stated.precision, comparable, grid, numbers)


def _pattern(pair: Pair) -> list[Item]:
    """Rank correlation and signs."""
    same, known = pair.signs
    signs = Item(f"{same} of {known}", same / known) if known else number(None)
    return [number(pair.correlation, 2), signs]


def _numbers(study: Study, place: Cell, title: str, pairs: Sequence[Pair]) -> Grid:
    """A row per method (or f): values and gains, the paper's and ours."""
    names = ("paper", "ours", "paper's gain", "our gain", "same sign")
    columns = [(pair.metric.label, name) for pair in pairs for name in names]
    at_frequency: Mapping[Key, str] = {f: method for method, f in study.frequencies().items()}
    body = []
    for key in pairs[0].paper:
        href = runs_of(replace(place, method=at_frequency.get(key, str(key))))
        items = [Item(f"f = {key}" if isinstance(key, int) else label_of(study, key))]
        for pair in pairs:
            same, digits = pair.same_sign(key), 1 if pair.metric is HOURS else 4
            ours, (gain, our_gain) = number(pair.ours.get(key)), pair.gains(key)
            items += [number(pair.paper.get(key), digits), replace(ours, href=href)]
            items += [number(gain, digits), number(our_gain)]
            items.append(Item("–" if same is None else "yes" if same else "no"))
        body.append(items)
    return Grid(title, "method", columns, body)
