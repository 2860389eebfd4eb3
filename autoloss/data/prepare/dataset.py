"""Raw files to encoded arrays: read, check, split, encode (paper §3.1 and Table 1).

One way for small and large data. The raw table is put on disk by columns as it is read; each column
is then split and encoded in memory, and the columns are joined to rows again on disk.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl

from autoloss.data.fetch.raw_folder import verify_raw
from autoloss.data.folders import atomic_folder, require_space, sole_owner
from autoloss.data.formats import read_raw
from autoloss.data.formats._lines import BLOCK, Leniency
from autoloss.data.manifest import (
    FieldStats,
    Manifest,
    Statistics,
    data_hash,
    digest,
    write_manifest,
)
from autoloss.data.prepare.columns import ColumnStore, IdColumns
from autoloss.data.prepare.encode import encode_field, encode_labels
from autoloss.data.prepare.split import count_classes, split_rows
from autoloss.data.prepare.statistics import ContentCheck
from autoloss.data.progress import Lines, Say, to_stderr
from autoloss.data.specs import DatasetSpec
from autoloss.errors import ConfigError, DataError, did_you_mean

ARRAYS = ("ids", "labels", "rows")
ROOM = 15  # tenths of the raw files' size: Criteo's arrays and the table on disk need 10 to 11
AT_ONCE = 2  # fields that are encoded at a time: each needs up to 40 bytes a row


def prepare(
    spec: DatasetSpec,
    raw_dir: Path,
    out_dir: Path,
    *,
    max_rows: int | None = None,
    key: str | None = None,
    say: Say = to_stderr,
    block_bytes: int = BLOCK,
) -> Manifest:
    """Write ids.npy, labels.npy, rows.npy and manifest.json of `spec` into `out_dir`.

    Rows are in split order: training, validation, test. `out_dir` is replaced as a whole, once
    everything is written, and what a killed preparation left of it is cleared away. `max_rows`
    keeps a random sample, for smoke tests. `block_bytes` of a large text file are read at a time,
    and change nothing of the result.
    """
    raw = verify_raw(raw_dir)
    if raw.source != spec.source:
        mend = f"run `autoloss fetch {spec.source}`"
        raise DataError(str(raw_dir), f"holds {raw.source}, expected {spec.source}", mend)
    leniency, tell = Leniency(spec.max_bad_rows, say), Lines(spec.name, say)
    check = ContentCheck(spec, raw, say)
    names = [f"{name}.npy" for name in ARRAYS]
    with sole_owner(out_dir, say), atomic_folder(out_dir, names) as folder:
        needed = ROOM * sum(file.bytes for file in raw.files) // 10
        require_space(folder.parent, needed, f"preparing {spec.name}")
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            table = ColumnStore(Path(scratch))
            for frame in read_raw(raw, raw_dir, leniency, block_bytes):
                table.append(_wanted(spec, frame))
                tell(f"{table.rows:,} rows read")
            labels = encode_labels(table.column(spec.task.label), spec.task)
            check.rows(labels, leniency.skipped)
            rows, sizes = split_rows(table.rows, spec.split, max_rows)
            class_counts = count_classes(spec, labels, rows, sizes)
            np.save(folder / "rows.npy", rows, allow_pickle=False)
            np.save(folder / "labels.npy", labels[rows], allow_pickle=False)
            order = pl.Series(rows.astype(np.uint32))
            del rows  # of Criteo 367 MB, which the fields need
            fields = _encode(spec, table, order, sizes["train"], folder / "ids.npy", check, tell)
        field_sizes = [field.size for field in fields]
        digests = {name: digest(folder / f"{name}.npy") for name in ARRAYS}
        manifest = Manifest(
            key=key,
            dataset=spec.name,
            title=f"{spec.title} (generated)" if raw.generated else spec.title,
            stands_for=spec.stands_for,
            source=spec.source,
            mirror=raw.mirror,
            raw_files=raw.files,
            raw_rows=table.rows,
            bad_rows=leniency.skipped,
            rows=len(order),
            split_seed=spec.split.seed,
            splits=sizes,
            fields=tuple(fields),
            classes=spec.task.classes,
            class_counts=class_counts,
            statistics=Statistics(
                interactions=len(order),
                fields=len(fields),
                feature_values=sum(field.distinct for field in fields),
                encoded_features=sum(field_sizes),
            ),
            differences=tuple(check.differences),
            arrays=digests,
            data_hash=data_hash(digests, field_sizes, spec.task.classes, sizes),
        )
        write_manifest(folder, manifest)
    return manifest


def _wanted(spec: DatasetSpec, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns that the data set uses."""
    names = [spec.task.label, *(field.name for field in spec.fields)]
    for name in names:
        if name not in frame.columns:
            where = f"the description of {spec.name}"
            hint = did_you_mean(name, frame.columns)
            raise ConfigError(where, f"{spec.source} has no column '{name}'", hint)
    return frame.select(names)


def _encode(
    spec: DatasetSpec,
    table: ColumnStore,
    order: pl.Series,
    train: int,
    path: Path,
    check: ContentCheck,
    tell: Lines,
) -> list[FieldStats]:
    """Write ids.npy, field by field and then row by row."""
    columns, whole = IdColumns(table.folder, len(spec.fields)), len(order) == table.rows

    def encode(k: int) -> tuple[FieldStats, int]:
        raw = table.column(spec.fields[k].name)
        ids, stats = encode_field(raw.gather(order), spec.fields[k], train)
        columns.write(k, ids)
        return stats, stats.distinct if whole else raw.n_unique()

    fields: list[FieldStats] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for stats, distinct in pool.map(encode, range(len(spec.fields))):
                fields.append(stats)
                check.field(stats.name, distinct, stats.size_counting_all if whole else None)
                tell(f"{len(fields)} of {len(spec.fields)} fields encoded")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else the error would wait for all fields
            raise
    table.clear()
    columns.join(path, len(order))
    return fields
