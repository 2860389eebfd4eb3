"""Tables of methods by data set, model and metric: means, marks, and last weights."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pandas as pd

from autoloss.data.specs import DatasetSpec
from autoloss.methods.info import OWN
from autoloss.metrics import METRICS
from autoloss.models import MODELS
from autoloss.records.index import CELL, WEIGHT
from autoloss.report.analysis import read_comparisons, read_index
from autoloss.report.catalogue import product_of
from autoloss.report.frames import cell_of, parts_of, rows_of
from autoloss.report.published import Published, load_published
from autoloss.report.table import NUMBERS, Grid, Item, Table, runs_of
from autoloss.report.tables._anchors import anchor_notes, readings_of
from autoloss.stats import Splits, describe, splits_of
from autoloss.study.study import Study

KEYS = ["dataset", "model", "metric", "method"]
MANY = 6  # candidates: of more than these a reader would have to count, so that they are named
JUDGED = {  # options.criterion of AutoLoss and what is based on it
    "mixture": "its controller is judged by its own mixed loss, as Eq. 12 writes it",
    "ce": "its controller is judged by cross-entropy, not by its own mixed loss",
}


def make(study: Study, name: str) -> Table:
    """The table of its first group of runs, from the group's index and comparisons."""
    group = product_of("table", name).groups[0]
    index = read_index(study, group)
    labels = {method: study.label(method) for method in study.methods}
    learned = index["method"].map(lambda m: study.methods[m].info.weights != "one candidate")
    table = methods_table(
        name,
        describe(index, list(METRICS)).merge(last_weights(index[learned]), on=CELL, how="left"),
        read_comparisons(study, group),
        {method: what_it_is(study, method) for method in study.ours(group)},
        labels,
        {dataset: study.dataset(dataset) for dataset in index["dataset"].unique()},
        load_published(study.root),
        study.config.statistics.alpha,
        {k: of for k, of in readings_of(study.methods).items() if all(map(study.shows, of))},
    )
    alike = same_runs(index[index["method"].map(study.shows)], labels)
    title = table.title + ", all tuned" * (study.config.protocol == "tuned")
    notes = [protocol_note(study), *table.notes, *split_notes(index), *alike]
    return replace(table, title=title, notes=notes)


def protocol_note(study: Study) -> str:
    """Under which protocol the runs were made."""
    if study.config.protocol == "tuned":
        return (
            f"Tuned protocol: a search of {study.config.tuning.trials} trials a cell chose the "
            "values of every method."
        )
    return (
        "Published protocol: methods have the values of their sources (the configuration says what "
        "is scaled to the study); apart from what a method itself searches nothing is tuned."
    )


def split_notes(index: pd.DataFrame) -> Iterator[str]:
    """A note on the splits of the rows that the runs are of, where there are several."""
    yield from overlap_notes(splits_of(runs) for _, runs in parts_of(index, "dataset"))


def overlap_notes(every: Iterable[Splits]) -> Iterator[str]:
    """The same of the splits that comparisons are over."""
    counts = [(splits.test_to_train, splits.of.nunique()) for splits in every]
    shares = {share for share, _ in counts} - {0.0}
    if shares:
        count = max(count for _, count in counts)
        yield (
            f"The seeds are on {count} splits of the rows, the same for every method: deviations "
            "have what splits differ by, most of which cancels in a comparison. The t test is "
            f"corrected for their overlap, with {' or '.join(f'{x:.3g}' for x in sorted(shares))} "
            "test rows for each training row. The sign-flip test is not: it is exact where splits "
            "could change places, and errs too often where they overlap."
        )


def what_it_is(study: Study, method: str) -> str:
    """A method of ours in a few words: of AutoLoss and its variants by what they are judged."""
    info = study.methods[method].info
    if OWN in (method, info.base):
        return JUDGED[study.settings(method)["method"]["criterion"]]
    return info.summary


def same_runs(index: pd.DataFrame, labels: Mapping[str, str]) -> Iterator[str]:
    """A note on each two methods that share runs, to the bit: in how many cells, and of how many.

    A search that chose one candidate, for example, *is* that candidate.
    """
    cells, counts = parts_of(index, "dataset", "model"), Counter[tuple[str, str]]()
    for _, cell in cells:
        digests = cell.assign(ok=cell["status"] == "ok").sort_values("seed", kind="stable")
        kept: dict[tuple[str, ...], str] = {}
        for method, runs in parts_of(digests, "method"):
            first = kept.setdefault(tuple(runs["digest"]), method) if runs["ok"].all() else method
            if first != method:
                counts[method, first] += 1
    for (method, first), count in counts.items():
        name, other, of = labels.get(method, method), labels.get(first, first), len(cells)
        yield f"{name} chose {other} in {count} of {of} cells: the same runs, to the bit."


def last_weights(index: pd.DataFrame) -> pd.DataFrame:
    """Per data set, model and method: each candidate's mean weight over the runs that are ok."""
    columns = [name for name in index if str(name).startswith(WEIGHT)]
    return index[index["status"] == "ok"].groupby(CELL, sort=False)[columns].mean().reset_index()


def methods_table(
    name: str,
    described: pd.DataFrame,
    comparisons: pd.DataFrame,
    ours: Mapping[str, str],
    labels: Mapping[str, str],
    datasets: Mapping[str, DatasetSpec],
    published: Published,
    alpha: float,
    readings: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Table:
    """Methods by data set, model and metric, with marks and `last_weights`.

    A note says of a loss in `readings` which of these methods is as far from CE as the paper's.

    Args:
        name: of the table.
        described: mean and deviation by cell and metric.
        comparisons: of ours with the others.
        ours: the methods that marks are about, each with what it is, in words.
        labels: what methods are called.
        datasets: the descriptions of the data sets.
        published: the paper's numbers, for that note.
        alpha: of the tests.
        readings: by loss the methods that weigh it alone.
    """
    product = product_of("table", name)
    long = _long(described, comparisons, list(ours), datasets)
    grids = [
        _grid(datasets[dataset], part, labels, list(ours))
        for dataset, part in parts_of(long, "dataset")
    ]
    named = {labels.get(method, method): what for method, what in ours.items()}
    notes = [
        *_notes(long, comparisons, named, alpha),
        *anchor_notes(long, readings, labels, datasets, published.table_2),
    ]
    return Table(product.titled(next(iter(named))), grids, notes, long, list(named))


def _long(
    described: pd.DataFrame,
    comparisons: pd.DataFrame,
    ours: Sequence[str],
    datasets: Mapping[str, DatasetSpec],
) -> pd.DataFrame:
    """A row per cell and metric; `number` is what marks call a method of ours, if several are."""
    long = described.copy()
    long["stands_for"] = [datasets[dataset].stands_for for dataset in long["dataset"]]
    best = long.groupby(KEYS[:3], sort=False)["mean"]
    direction = long["metric"].map({m.name: m.higher_is_better for m in METRICS.values()})
    long["best"] = long["mean"] == best.transform("max").where(direction, best.transform("min"))
    numbers = {m: str(n) if len(ours) > 1 else "" for n, m in enumerate(ours, start=1)}
    marks = _marks(comparisons, numbers)
    long["number"] = [numbers.get(method, "") for method in long["method"]]
    long["mark"] = [" ".join(marks[tuple(row[key] for key in KEYS)]) for row in rows_of(long)]
    return long


def _marks(
    comparisons: pd.DataFrame, numbers: Mapping[str, str]
) -> dict[tuple[Any, ...], list[str]]:
    """By `KEYS`: a star on ours that beat the best other; on the others the verdict, their side."""
    marks: dict[tuple[Any, ...], list[str]] = defaultdict(list)
    for row in rows_of(comparisons):
        place = tuple(row[key] for key in KEYS[:3])
        if row["best_other"] and row["verdict"] == "better":
            marks[*place, row["ours"]].insert(0, "star")
        if kind := {"better": "worse", "worse": "better"}.get(str(row["verdict"])):
            marks[*place, row["other"]].append(kind + numbers[row["ours"]])
    return marks


def _grid(
    spec: DatasetSpec, part: pd.DataFrame, labels: Mapping[str, str], ours: Sequence[str]
) -> Grid:
    """A data set's methods: a column per model and metric, and per model the weights."""
    own = {row["method"]: numbered(row["number"]) for row in rows_of(part)}
    columns: dict[tuple[str, str], dict[str, Item]] = {}
    for (model, metric), cells in parts_of(part, "model", "metric"):
        place = MODELS[model], METRICS[metric].label
        columns[place] = {row["method"]: item_of(row) for row in rows_of(cells)}
    for model, cells in parts_of(part, "model"):
        texts = {row["method"]: _weights(row) for row in rows_of(cells)}
        if any(texts.values()):
            columns[MODELS[model], "weights"] = {name: Item(text) for name, text in texts.items()}
    heads = list(dict.fromkeys(head for head, _ in columns))
    ordered = sorted(columns, key=lambda column: heads.index(column[0]))
    body = [
        [
            Item(labels.get(method, method) + own[method], bold=method in ours),
            *(columns[column].get(method, Item("–")) for column in ordered),
        ]
        for method in part["method"].unique()
    ]
    return Grid(spec.heading, "method", ordered, body)


def item_of(row: Mapping[str, Any]) -> Item:
    """A cell: mean, standard deviation of two seeds or more, and how many runs failed."""
    n, failed, href = int(row["n"]), int(row["failed"]), runs_of(cell_of(row))
    if n == 0:
        return Item(f"failed ({failed})", href=href)
    spread = f" ± {row['sd']:.4f}" if n > 1 else ""
    note = f" ({failed} failed)" if failed else ""
    text = f"{row['mean']:.4f}{spread}{note}"
    return Item(text, row["mean"], href, bool(row["best"]), row["mark"])


def numbered(number: Any) -> str:
    """What stands behind a label of ours where marks have numbers."""
    return NUMBERS[int(number) - 1] if pd.notna(number) and number != "" else ""


def _weights(row: Mapping[str, Any]) -> str:
    """`.25 .25 .25 .25`, in the candidates' order; of many the three largest, with their names."""
    weights = _by_candidate(row)
    short = {name: f"{weight:.2f}".removeprefix("0") for name, weight in weights.items()}
    if len(weights) <= MANY:
        return " ".join(short.values())
    largest = sorted(weights, key=lambda name: -weights[name])[:3]
    return ", ".join(f"{name} {short[name]}" for name in largest)


def _by_candidate(row: Mapping[str, Any]) -> dict[str, float]:
    """The weights of a row by candidate; none where it has none."""
    named = ((key.removeprefix(WEIGHT), row[key]) for key in row if key.startswith(WEIGHT))
    return {name: weight for name, weight in named if pd.notna(weight)}


def _lacking(long: pd.DataFrame) -> bool:
    """Whether a cell is without one of the metrics."""
    return bool((long.groupby(KEYS[:2] + KEYS[3:])["metric"].nunique() < len(METRICS)).any())


def _notes(
    long: pd.DataFrame, comparisons: pd.DataFrame, ours: Mapping[str, str], alpha: float
) -> list[str]:
    """What a reader needs to judge the table; `ours` are labels, each with what it is."""
    seeds, names = int((long["n"] + long["failed"]).max()), " and ".join(ours)
    notes = [f"Mean ± standard deviation over {seeds} seeds; best mean in bold."]
    if len(ours) > 1:
        each = zip(ours.items(), NUMBERS, strict=False)
        notes.append("; ".join(f"{name}{number}: {what}" for (name, what), number in each) + ".")
    if comparisons.empty:
        return [*notes, f"There is no other method here to compare {names} with: no marks."]
    families = sorted(comparisons["comparisons"].unique(), reverse=True)
    family = " or ".join(f"{size:.0f}" for size in families)
    plural = "s" * (families != [1])
    notes.append(
        "Marks stand where two tests paired by seed, the sign-flip test and the corrected "
        f"resampled t test, have both p < {alpha:g}, two-sided, Holm-corrected over the {family} "
        f"comparison{plural} of {names} per metric: were no two methods different, at most "
        f"{100 * alpha:g} % of studies would have a mark by that metric (docs/statistics.md)."
    )
    impossible = comparisons["verdict"].astype(str).str.startswith("cannot be significant")
    if impossible.any():
        notes.append(f"{comparisons.loc[impossible, 'verdict'].iloc[0].capitalize()}.")
    if _lacking(long):
        notes.append(
            "A dash: the method has trained on the validation split, by which log loss is "
            "recalibrated."
        )
    if long["failed"].any():
        notes.append("Failed runs are counted in the cell and make its comparisons not assessable.")
    candidates = list(dict.fromkeys(name for row in rows_of(long) for name in _by_candidate(row)))
    if candidates:
        which = "the three largest" if len(candidates) > MANY else ", ".join(candidates)
        notes.append(
            f"Weights: those of {which}, mean over the last epoch's batches and the seeds. "
            "Where a method learns them and all are alike, it has hardly left its start."
        )
    return notes
