"""Table 1: statistics of the data. Those of the paper's are in the table `published`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import pandas as pd

from autoloss.data.manifest import Manifest, read_manifest
from autoloss.report.table import Grid, Item, Table, plain_columns
from autoloss.study.study import Study
from autoloss.target import snakemake

TITLE = "Table 1: the data"
GROUPS = ()
ORDER = 1
NOTE = (
    "Feature values are distinct raw values; embedded ids are what models look up, rare values "
    "folded: by what a split's training rows have, so from the fewest to the most over splits."
)


def make(study: Study, name: str) -> Table:
    """The table of the study's data sets, from what their preparation counted."""
    datasets = dict.fromkeys(cell.dataset for cell in study.all_cells())
    mend = f"run `{snakemake(study, name)}`"
    folders = [study.prepared_folder(name, split) for name in datasets for split in study.splits]
    return data_table([read_manifest(folder, Manifest, mend) for folder in folders])


def data_table(manifests: Sequence[Manifest]) -> Table:
    """A row per data set, of whose splits the manifests follow each other."""
    rows: list[dict[str, Any]] = []
    for _, of_splits in groupby(manifests, key=lambda manifest: manifest.dataset):
        manifest, *others = of_splits
        ids = [split.statistics.encoded_features for split in (manifest, *others)]
        rows.append(
            {
                "dataset": manifest.dataset,
                "interactions": manifest.statistics.interactions,
                "fields": manifest.statistics.fields,
                "feature_values": manifest.statistics.feature_values,
                "embedded_ids": min(ids) if len(set(ids)) == 1 else f"{min(ids):,}–{max(ids):,}",
                "classes": manifest.classes,
                **manifest.splits,
                "class_shares": _class_shares(manifest),
                "stands_for": manifest.stands_for,
            }
        )
    long = pd.DataFrame(rows)
    names = list(long.columns[1:])
    body = [[Item(row["dataset"]), *(_item(row.get(name)) for name in names)] for row in rows]
    columns = plain_columns(*(name.replace("_", " ") for name in names))
    return Table(TITLE, [Grid("", "data set", columns, body)], [NOTE], long)


def _item(value: Any) -> Item:
    if value is None:
        return Item("")
    return Item(value) if isinstance(value, str) else Item(f"{value:,}", value)


def _class_shares(manifest: Manifest) -> str:
    counts = [sum(split) for split in zip(*manifest.class_counts.values(), strict=True)]
    return " / ".join(f"{count / sum(counts):.1%}" for count in counts)
