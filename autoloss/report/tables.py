"""Tables 1, 2 and 3 of the paper: their content, before any format.

A `Table` holds the same content twice: `long`, one row per number, for machines (the CSV), and
`blocks`, the cells as a reader sees them (Markdown, LaTeX).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from autoloss.data.manifest import Manifest
from autoloss.data.registry import DatasetSpec
from autoloss.metrics import METRICS
from autoloss.registry import MODELS, OWN
from autoloss.report.frames import parts_of, rows_of
from autoloss.report.published import Published

TITLES = {
    "table_1": "Table 1: the data",
    "table_2": "Table 2: performance of every method, test split",
    "table_3": "Table 3: components of AutoLoss, test split",
    "controls": "Controls: methods beyond the paper, test split",
    "table_2_full": "Table 2, in full: every method everywhere, test split",
    "sensitivity": "Sensitivity: every open choice read otherwise, one at a time, test split",
}


@dataclass(frozen=True)
class Text:
    """A cell: text, bold or not, and a mark from `MARKS`."""

    text: str
    bold: bool = False
    mark: str = ""


MARKS = {
    "star": "AutoLoss is significantly better than the best other method of the cell",
    "worse": "AutoLoss is significantly better than this method",
    "better": "this method is significantly better than AutoLoss",
}


@dataclass(frozen=True)
class Block:
    """A part of a table: a heading, two-level column names, and rows of cells under a name."""

    heading: str
    columns: Sequence[tuple[str, str]]
    rows: Sequence[tuple[str, Sequence[Text]]]


@dataclass(frozen=True)
class Table:
    """A table: long form, blocks, and notes that a reader needs to judge it."""

    title: str
    long: pd.DataFrame
    blocks: Sequence[Block]
    notes: Sequence[str] = field(default_factory=tuple)


def data_table(manifests: Sequence[Manifest], published: Published) -> Table:
    """Table 1: statistics of the data, beside those of the paper's data they stand for."""
    rows: list[dict[str, Any]] = []
    for manifest in manifests:
        paper = published.table_1.get(manifest.stands_for, {})
        rows.append(
            {
                "dataset": manifest.dataset,
                "interactions": manifest.statistics.interactions,
                "fields": manifest.statistics.fields,
                "feature_values": manifest.statistics.feature_values,
                "embedded_ids": manifest.statistics.encoded_features,
                "classes": manifest.classes,
                **manifest.splits,
                "class_shares": _class_shares(manifest),
                "stands_for": manifest.stands_for,
                **{f"paper_{name}": value for name, value in paper.items()},
            }
        )
    long = pd.DataFrame(rows)
    shown = list(long.columns[1:])
    columns = [("", name.replace("_", " ")) for name in shown]
    cells = [(row["dataset"], [Text(_plain(row.get(name))) for name in shown]) for row in rows]
    notes = (
        "Feature values are distinct raw values; embedded ids are what models look up, rare values "
        "folded. Columns named paper are the paper's, of the set that ours stands for.",
    )
    return Table(TITLES["table_1"], long, [Block("", columns, cells)], notes)


def methods_table(
    name: str,
    described: pd.DataFrame,
    comparisons: pd.DataFrame,
    labels: Mapping[str, str],
    datasets: Mapping[str, DatasetSpec],
    published: Published,
    alpha: float,
) -> Table:
    """Table 2 or 3: methods by data set, model and metric, with marks and published values."""
    long = _long(name, described, comparisons, datasets, published)
    blocks = [
        _block(datasets[dataset], part, labels) for dataset, part in parts_of(long, "dataset")
    ]
    return Table(TITLES[name], long, blocks, _notes(long, comparisons, alpha))


def _long(
    name: str,
    described: pd.DataFrame,
    comparisons: pd.DataFrame,
    datasets: Mapping[str, DatasetSpec],
    published: Published,
) -> pd.DataFrame:
    keep = ["gain", "low", "high", "p_permutation", "p_wilcoxon", "p_t", "p_holm", "comparisons"]
    keep += ["effect_size", "probability_of_improvement", "best_other", "significant", "verdict"]
    tested = comparisons.rename(columns={"other": "method"})
    keys = ["dataset", "model", "metric", "method"]
    long = described.merge(tested[[*keys, *keep]], on=keys, how="left")
    long["stands_for"] = [datasets[dataset].stands_for for dataset in long["dataset"]]
    long["published"] = [
        published.value(name, row["stands_for"], row["model"], row["metric"], row["method"])
        for row in rows_of(long)
    ]
    best = long.groupby(["dataset", "model", "metric"], sort=False)["mean"]
    direction = long["metric"].map({m.name: m.higher_is_better for m in METRICS.values()})
    long["best"] = long["mean"] == best.transform("max").where(direction, best.transform("min"))
    stars = _stars(comparisons)
    long["mark"] = [_mark(row, stars) for row in rows_of(long)]
    return long


def _stars(comparisons: pd.DataFrame) -> set[tuple[str, str, str]]:
    """Cells in which AutoLoss beats the best other method, Holm-corrected."""
    won = comparisons[comparisons["best_other"] & (comparisons["verdict"] == "better")]
    return set(won[["dataset", "model", "metric"]].itertuples(index=False, name=None))


def _mark(row: Mapping[str, Any], stars: set[tuple[str, str, str]]) -> str:
    """A star on AutoLoss; on the others the verdict, seen from their side."""
    if row["method"] == OWN:
        return "star" if (row["dataset"], row["model"], row["metric"]) in stars else ""
    return {"better": "worse", "worse": "better"}.get(str(row["verdict"]), "")


def _block(spec: DatasetSpec, part: pd.DataFrame, labels: Mapping[str, str]) -> Block:
    """A data set's methods: per model and metric our column, and the paper's if it has one."""
    columns: dict[tuple[str, str], dict[str, Text]] = {}
    for (model, metric), cells in part.groupby(["model", "metric"], sort=False):
        head, label = MODELS[str(model)], METRICS[str(metric)].label
        rows = rows_of(cells)
        columns[head, label] = {row["method"]: _cell(row) for row in rows}
        if cells["published"].notna().any():
            columns[head, f"paper, {label}"] = {
                row["method"]: Text(_decimals(row["published"])) for row in rows
            }
    heads = list(dict.fromkeys(head for head, _ in columns))
    ordered = sorted(columns, key=lambda column: heads.index(column[0]))
    body = [
        (labels.get(method, method), [columns[column][method] for column in ordered])
        for method in part["method"].unique()
    ]
    return Block(f"{spec.title} (stands for {spec.stands_for})", ordered, body)


def _cell(row: Mapping[str, Any]) -> Text:
    n, failed = int(row["n"]), int(row["failed"])
    if n == 0:
        return Text(f"failed ({failed})")
    spread = f" ± {row['sd']:.4f}" if n > 1 else ""
    note = f" ({failed} failed)" if failed else ""
    return Text(f"{row['mean']:.4f}{spread}{note}", bool(row["best"]), str(row["mark"]))


def _decimals(value: float | None) -> str:
    return "" if value is None or pd.isna(value) else f"{value:.4f}"


def _notes(long: pd.DataFrame, comparisons: pd.DataFrame, alpha: float) -> list[str]:
    seeds = int((long["n"] + long["failed"]).max())
    notes = [f"Mean ± standard deviation over {seeds} seeds; best mean in bold."]
    if comparisons.empty:
        return [*notes, "There is no other method here to compare AutoLoss with: no marks."]
    family = int(comparisons["comparisons"].max())
    notes.append(
        f"Marks: exact two-sided sign-flip test paired by seed, Holm-corrected over the {family} "
        f"comparisons of AutoLoss per metric, p < {alpha:g} (docs/statistics.md)."
    )
    impossible = comparisons["verdict"].astype(str).str.startswith("cannot be significant")
    if impossible.any():
        notes.append(f"{comparisons.loc[impossible, 'verdict'].iloc[0].capitalize()}.")
    if long["failed"].any():
        notes.append("Failed runs are counted in the cell and make its comparisons not assessable.")
    if long["published"].notna().any():
        notes.append(
            "Columns named paper are the published values on the data set that ours stands for: "
            "compare the order of the methods, not the numbers."
        )
    return notes


def _class_shares(manifest: Manifest) -> str:
    counts = [sum(split) for split in zip(*manifest.class_counts.values(), strict=True)]
    return " / ".join(f"{count / sum(counts):.1%}" for count in counts)


def _plain(value: object) -> str:
    if value is None or (isinstance(value, float) and pd.isna(value)):
        return ""
    return f"{value:,}" if isinstance(value, int) else str(value)
