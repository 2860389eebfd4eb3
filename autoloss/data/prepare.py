"""Raw files to encoded arrays: read, check, split, encode (paper §3.1 and Table 1).

One way for small and large data. The raw table is put on disk by columns as it is read; each column
is then split and encoded in memory, and the columns are joined to rows again on disk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from autoloss.data import adult, movielens
from autoloss.data.atomic import atomic_folder, digest
from autoloss.data.columns import ColumnStore, IdColumns
from autoloss.data.content import ContentCheck
from autoloss.data.encode import encode_field, encode_labels
from autoloss.data.fetch import to_stderr, verify_raw
from autoloss.data.fetching.lock import sole_owner
from autoloss.data.fetching.space import require_space
from autoloss.data.layouts import LAYOUTS
from autoloss.data.lines import BLOCK, Leniency, read_lines
from autoloss.data.manifest import (
    FieldStats,
    Manifest,
    RawManifest,
    Statistics,
    data_hash,
    write_manifest,
)
from autoloss.data.progress import Progress, Say
from autoloss.data.registry import DatasetSpec
from autoloss.data.split import check_classes, check_rows, split_rows
from autoloss.errors import ConfigError, DataError, did_you_mean

# A source's mirrors name their format. A new format adds its parser here, or its layout to
# `layouts.LAYOUTS` if its files are too large for one frame.
READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "grouplens": movielens.read_grouplens,
    "recbole": movielens.read_recbole,
    "uci": adult.read_uci,
    "widedeep": adult.read_widedeep,
}
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
    raw = _verified(spec, raw_dir)
    leniency, tell = Leniency(spec.max_bad_rows, say), Progress(spec.name, say)
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
            check_classes(spec, labels, rows, sizes)
            order = _save_split(rows, labels, folder)
            del rows  # of Criteo 367 MB, which the fields need
            fields = _encode(spec, table, order, sizes["train"], folder / "ids.npy", check, tell)
        manifest = _manifest(spec, raw, table, leniency, check, sizes, fields, folder)
        manifest = manifest.model_copy(update={"key": key})
        write_manifest(folder, manifest)
    return manifest


def read_raw(
    raw: RawManifest, raw_dir: Path, leniency: Leniency, block_bytes: int = BLOCK
) -> Iterator[pl.DataFrame]:
    """The raw rows, by the parser or the layout of the mirror's format: one frame or many."""
    if raw.format in LAYOUTS:
        yield from read_lines(LAYOUTS[raw.format], raw_dir, leniency, block_bytes)
    elif raw.format in READERS:
        if leniency.limit:
            where, mend = f"source {raw.source}", "delete `max_bad_rows` of the data set"
            raise ConfigError(where, f"of '{raw.format}' no malformed line can be skipped", mend)
        yield READERS[raw.format](raw_dir)
    else:
        hint = did_you_mean(raw.format, (*READERS, *LAYOUTS))
        raise ConfigError(f"source {raw.source}", f"no parser for format '{raw.format}'", hint)


def _verified(spec: DatasetSpec, raw_dir: Path) -> RawManifest:
    raw = verify_raw(raw_dir)
    if raw.source != spec.source:
        mend = f"run `autoloss fetch {spec.source}`"
        raise DataError(str(raw_dir), f"holds {raw.source}, expected {spec.source}", mend)
    return raw


def _wanted(spec: DatasetSpec, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns that the data set uses."""
    names = [spec.task.label, *(field.name for field in spec.fields)]
    for name in names:
        if name not in frame.columns:
            where = f"configs/datasets/{spec.name}.yaml"
            hint = did_you_mean(name, frame.columns)
            raise ConfigError(where, f"{spec.source} has no column '{name}'", hint)
    return frame.select(names)


def _save_split(
    rows: npt.NDArray[np.int64], labels: npt.NDArray[np.int32], folder: Path
) -> pl.Series:
    """Write rows.npy and labels.npy; the row numbers in half the memory."""
    check_rows(rows, len(labels))
    np.save(folder / "rows.npy", rows, allow_pickle=False)
    np.save(folder / "labels.npy", labels[rows], allow_pickle=False)
    return pl.Series(rows.astype(np.uint32))


def _encode(
    spec: DatasetSpec,
    table: ColumnStore,
    order: pl.Series,
    train: int,
    path: Path,
    check: ContentCheck,
    tell: Progress,
) -> list[FieldStats]:
    """Write ids.npy, field by field and then row by row."""
    columns, whole = IdColumns(table.folder, len(spec.fields)), len(order) == table.rows

    def encode(k: int) -> tuple[FieldStats, int]:
        raw = table.column(spec.fields[k].name)
        encoded = encode_field(raw.gather(order), spec.fields[k], train)
        columns.write(k, encoded.ids)
        return encoded.stats, encoded.stats.distinct if whole else raw.n_unique()

    found: list[FieldStats] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        try:
            for stats, distinct in pool.map(encode, range(len(spec.fields))):
                found.append(stats)
                check.field(stats.name, distinct, stats.size_counting_all if whole else None)
                tell(f"{len(found)} of {len(spec.fields)} fields encoded")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else the error would wait for all fields
            raise
    table.clear()
    columns.join(path, len(order))
    return found


def _manifest(
    spec: DatasetSpec,
    raw: RawManifest,
    table: ColumnStore,
    leniency: Leniency,
    check: ContentCheck,
    sizes: dict[str, int],
    fields: list[FieldStats],
    folder: Path,
) -> Manifest:
    classes, field_sizes = spec.task.classes, [field.size for field in fields]
    labels = np.load(folder / "labels.npy", mmap_mode="r")
    parts = np.split(labels, np.cumsum(list(sizes.values()))[:-1])
    digests = {name: digest(folder / f"{name}.npy") for name in ARRAYS}
    return Manifest(
        dataset=spec.name,
        title=f"{spec.title} (generated)" if raw.generated else spec.title,
        stands_for=spec.stands_for,
        source=spec.source,
        mirror=raw.mirror,
        raw_files=raw.files,
        raw_rows=table.rows,
        bad_rows=leniency.skipped,
        rows=len(labels),
        split_seed=spec.split.seed,
        splits=sizes,
        fields=tuple(fields),
        classes=classes,
        class_counts={
            name: tuple(np.bincount(part, minlength=classes).tolist())
            for name, part in zip(sizes, parts, strict=True)
        },
        statistics=Statistics(
            interactions=len(labels),
            fields=len(fields),
            feature_values=sum(field.distinct for field in fields),
            encoded_features=sum(field_sizes),
        ),
        differences=tuple(check.differences),
        arrays=digests,
        data_hash=data_hash(digests, field_sizes, classes, sizes),
    )
