"""The paper's tables and figures beside ours: the pattern in short, then every number."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from autoloss.data.registry import DatasetSpec
from autoloss.metrics import METRICS, Metric
from autoloss.records.index import CELL
from autoloss.registry import MODELS
from autoloss.report.evidence import Evidence, label_of
from autoloss.report.grids import Grid, Item, anchor, number
from autoloss.report.pattern import Pair
from autoloss.report.published import Cells, Key, load_published
from autoloss.study import Cell, Study

HOURS = Metric("hours", "Training time, h", higher_is_better=False)
Means = Mapping[tuple[str, str, str], Mapping[Key, float]]  # data set, model, metric; then method


@dataclass(frozen=True)
class Versus:
    """A table or figure: the pattern of each data set and model, and grids of all its numbers."""

    title: str
    source: str
    precision: float
    comparable: bool
    short: Grid
    numbers: Sequence[Grid]


@dataclass(frozen=True)
class Place:
    """A data set and model that the paper and this study have, with the metrics of both."""

    spec: DatasetSpec
    model: str
    pairs: Sequence[Pair]

    @property
    def title(self) -> str:
        """Model and data set, and the paper's that it stands for."""
        return f"{MODELS.get(self.model, self.model)}, {self.spec.title} ({self.spec.stands_for})"


def versus(evidence: Evidence) -> Iterator[Versus]:
    """Everything that the paper has numbers of, and this study has runs of."""
    study, published = evidence.study, load_published(evidence.study.root)
    for group, title, stated in (
        ("table_2", "Table 2: every method", published.table_2),
        ("table_3", "Table 3: components", published.table_3),
        ("figure_3", "Figure 3: transfer of the frozen controller", published.figure_3),
    ):
        if group in evidence.groups:
            found = means(evidence.groups[group], METRICS)
            yield from _versus(study, title, stated, found, study.ours(group))
    if "figure_4" in evidence.groups:
        index = evidence.groups["figure_4"]
        hours = index.assign(hours=(index["seconds"] + index["search_seconds"]) / 3600)
        title, own = "Figure 4 (a): training time", study.ours("figure_4")
        yield from _versus(study, title, published.figure_4_hours, means(hours, ["hours"]), own)
        every, title = study.frequencies(), "Figure 4 (b, c): steps between outer steps"
        by_f: Means = {
            place: {every[str(m)]: value for m, value in values.items() if m in every}
            for place, values in means(index, METRICS).items()
        }
        yield from _versus(study, title, published.figure_4_frequency, by_f, every.get(own, own))


def means(index: pd.DataFrame, columns: Iterable[str]) -> Means:
    """Means over the runs that are ok."""
    ok, names = index[index["status"] == "ok"], list(columns)
    found: dict[tuple[str, str, str], dict[Key, float]] = {}
    for key, runs in ok.groupby(CELL, sort=False):
        dataset, model, method = map(str, key)
        for name in names:
            found.setdefault((dataset, model, name), {})[method] = float(runs[name].mean())
    return found


def _versus(study: Study, title: str, stated: Cells, ours: Means, own: Key) -> Iterator[Versus]:
    """One, if there is a data set and model that both have."""
    places = []
    for dataset, model in dict.fromkeys((d, m) for d, m, _ in ours):
        spec = study.dataset(dataset)
        pairs = [
            Pair(METRICS.get(name, HOURS), paper, ours[dataset, model, name], own, stated.precision)
            for name, paper in stated.of(spec.stands_for, model).items()
            if (dataset, model, name) in ours
        ]
        places += [Place(spec, model, pairs)] if pairs else []
    if places:
        comparable = study.is_the_papers(place.spec.name for place in places)
        numbers = [_numbers(study, place) for place in places]
        short = _short(places)
        yield Versus(title, stated.source, stated.precision, comparable, short, numbers)


def _short(places: Sequence[Place]) -> Grid:
    """A row per place: rank correlation and signs, by metric."""
    columns, body = [], []
    for pair in places[0].pairs:
        columns += [(pair.metric.label, "rank correlation"), (pair.metric.label, "signs of gain")]
    for place in places:
        items = [Item(place.title)]
        for pair in place.pairs:
            same, known = pair.signs
            items.append(number(pair.correlation, 2))
            items.append(Item(f"{same} of {known}", same / known) if known else number(None))
        body.append(items)
    return Grid("The pattern", "model, data set (of the paper)", columns, body)


def _numbers(study: Study, place: Place) -> Grid:
    """A row per method (or f): values and gains, the paper's and ours."""
    label, linked = _names(study, place)
    columns = [
        (pair.metric.label, name)
        for pair in place.pairs
        for name in ("paper", "ours", "paper's gain", "our gain", "same sign")
    ]
    body = []
    for key in place.pairs[0].paper:
        items = [Item(label(key))]
        for pair in place.pairs:
            same, digits = pair.same_sign(key), 1 if pair.metric is HOURS else 4
            ours, (gain, our_gain) = number(pair.ours.get(key)), pair.gains(key)
            items += [number(pair.paper.get(key), digits), replace(ours, href=linked(key))]
            items += [number(gain, digits), number(our_gain)]
            items.append(Item("–" if same is None else "yes" if same else "no"))
        body.append(items)
    return Grid(place.title, "method", columns, body)


def _names(study: Study, place: Place) -> tuple[Callable[[Key], str], Callable[[Key], str]]:
    """What a row is called, and where its number of ours leads."""
    every = {}
    if any(isinstance(key, int) for key in place.pairs[0].paper):
        every = {f: method for method, f in study.frequencies().items()}

    def label(key: Key) -> str:
        return f"f = {key}" if isinstance(key, int) else label_of(study, key)

    def linked(key: Key) -> str:
        if key not in place.pairs[0].ours:
            return ""
        method = every[key] if isinstance(key, int) else key
        return f"#{anchor(Cell(place.spec.name, place.model, method))}"

    return label, linked
