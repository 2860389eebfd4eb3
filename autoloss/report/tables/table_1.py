"""Table 1: statistics of the data. Those of the paper's are in the table `published`."""

from __future__ import annotations

from collections.abc import Sequence
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
    "folded."
)


def make(study: Study, name: str) -> Table:
    """The table of the study's data sets, from what their preparation counted."""
    datasets = dict.fromkeys(cell.dataset for cell in study.all_cells())
    mend = f"run `{snakemake(study, name)}`"
    manifests = [read_manifest(study.prepared_folder(d), Manifest, mend) for d in datasets]
    return data_table(manifests)


def data_table(manifests: Sequence[Manifest]) -> Table:
    """A row per data set."""
    rows: list[dict[str, Any]] = []
    for manifest in manifests:
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
