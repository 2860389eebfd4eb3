"""Raw files to encoded arrays: read, check, split, encode (paper §3.1 and Table 1).

One way for small and large data. The raw table is put on disk by columns as it is read; for each
split, each column is then put in order and encoded in memory, and the columns are joined to rows
again on disk. What is fitted (which values have an id) sees a split's training rows alone, so a
split has arrays of its own: training reads them through a memory map as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from autoloss.data.fetch.local import measure_local
from autoloss.data.fetch.raw_folder import verify_raw
from autoloss.data.folders import (
    atomic_folder,
    require_replaceable,
    require_space,
    scratch_beside,
    sole_owner,
)
from autoloss.data.formats import read_raw
from autoloss.data.formats._lines import BLOCK, Leniency
from autoloss.data.formats._table import PART
from autoloss.data.manifest import (
    FieldStats,
    Manifest,
    RawManifest,
    Statistics,
    data_hash,
    digest,
    write_manifest,
)
from autoloss.data.prepare.columns import ColumnStore, IdColumns
from autoloss.data.prepare.encode import encode_field, encode_labels, number_values
from autoloss.data.prepare.split import count_classes, split_rows
from autoloss.data.prepare.statistics import ContentCheck
from autoloss.data.progress import Lines, Say, to_stderr
from autoloss.data.specs import DatasetSpec
from autoloss.errors import ConfigError, DataError, did_you_mean

ARRAYS = ("ids", "labels", "rows")
CLUSTERS = "clusters"  # and this, where the data set has some
# Tenths of the raw files' size that the disk must have free: of Criteo, its columns and a split in
# the making need 16, each split that is made 7.
ROOM, ROOM_OF_A_SPLIT = 18, 7
AT_ONCE = 2  # fields that are encoded at a time: each needs up to 40 bytes a row


def prepare(
    spec: DatasetSpec,
    raw_dir: Path,
    folders: Mapping[int, Path],
    *,
    max_rows: int | None = None,
    key: str | None = None,
    say: Say = to_stderr,
    block_bytes: int = BLOCK,
) -> dict[int, Manifest]:
    """Write ids.npy, labels.npy, rows.npy and manifest.json of each split into its folder.

    Rows are in split order: training, validation, test. Each folder is replaced as a whole, once
    everything in it is written, and what a killed preparation left is cleared away.

    Args:
        raw_dir: of the source's files; a data set's own are read where they are.
        folders: by the number of their split, all of them in one folder.
        max_rows: keeps a random sample, for smoke tests.
        block_bytes: of a large text file are read at a time, and change nothing of the result.
    """
    raw = measure_local(spec) if spec.local else verify_raw(raw_dir)
    if raw.source != spec.source:
        mend = f"run `autoloss fetch {spec.source}`"
        raise DataError(str(raw_dir), f"holds {raw.source}, expected {spec.source}", mend)
    leniency, tell = Leniency(spec.max_bad_rows, say), Lines(spec.name, say)
    check = ContentCheck(spec, raw, say)
    names = [f"{name}.npy" for name in (*ARRAYS, CLUSTERS)]
    (home,) = {folder.parent for folder in folders.values()}
    for folder in folders.values():
        require_replaceable(folder, names)
    with sole_owner(home, say), scratch_beside(home) as scratch:
        tenths = ROOM + ROOM_OF_A_SPLIT * (len(folders) - 1)
        needed = tenths * sum(file.bytes for file in raw.files) // 10
        require_space(scratch, needed, f"preparing {spec.name}")
        columns = ColumnStore(scratch)
        for frame in read_raw(spec, raw, raw_dir, leniency, block_bytes):
            columns.append(_wanted(spec, frame))
            tell(f"{columns.rows:,} rows read")
        labels = encode_labels(columns.column(spec.task.label), spec.task)
        check.rows(labels, leniency.skipped)
        table = _Table(spec, raw, columns, labels, leniency.skipped, check, tell)
        made = {}
        for number, place in folders.items():
            with sole_owner(place, say), atomic_folder(place, names) as folder:
                manifest = table.write_split(number, max_rows, folder, key)
                write_manifest(folder, manifest)
            made[number] = manifest
    return made


def _wanted(spec: DatasetSpec, frame: pl.DataFrame) -> pl.DataFrame:
    """The columns that the data set uses."""
    names = [spec.task.label, *(field.name for field in spec.fields)]
    if spec.split.by != "random":
        names.append(PART)
    for name in names:
        if name not in frame.columns:
            where = f"the description of {spec.name}"
            hint = did_you_mean(name, frame.columns)
            raise ConfigError(where, f"{spec.source} has no column '{name}'", hint)
    return frame.select(names)


@dataclass(frozen=True)
class _Table:
    """All rows of a data set: their raw columns, and their classes."""

    spec: DatasetSpec
    raw: RawManifest
    columns: ColumnStore
    labels: npt.NDArray[np.int32]
    bad_rows: int
    check: ContentCheck
    tell: Lines

    @cached_property
    def clusters(self) -> npt.NDArray[np.int32]:
        """The cluster of every row; the numbers are the same in all splits."""
        assert self.spec.cluster is not None
        return number_values(self.columns.column(self.spec.cluster))

    def write_split(
        self, number: int, max_rows: int | None, folder: Path, key: str | None
    ) -> Manifest:
        """Write the arrays of a split; returns what its manifest says."""
        spec, raw = self.spec, self.raw
        parts = None if spec.split.by == "random" else self.columns.column(PART).to_numpy()
        rows, sizes = split_rows(len(self.labels), spec.split, number, max_rows, parts)
        class_counts = count_classes(spec, self.labels, rows, sizes, number)
        np.save(folder / "rows.npy", rows, allow_pickle=False)
        np.save(folder / "labels.npy", self.labels[rows], allow_pickle=False)
        if spec.cluster is not None:
            tested = self.clusters[rows[-sizes["test"] :]]
            np.save(folder / f"{CLUSTERS}.npy", tested, allow_pickle=False)
        order = pl.Series(rows.astype(np.uint32))
        del rows  # of Criteo 367 MB, which the fields need
        fields = self._encode(order, sizes["train"], folder)
        field_sizes = [field.size for field in fields]
        written = (*ARRAYS, CLUSTERS) if spec.cluster is not None else ARRAYS
        digests = {name: digest(folder / f"{name}.npy") for name in written}
        return Manifest(
            key=key,
            dataset=spec.name,
            title=f"{spec.title} (generated)" if raw.generated else spec.title,
            stands_for=spec.stands_for,
            source=spec.source,
            mirror=raw.mirror,
            raw_files=raw.files,
            raw_rows=len(self.labels),
            bad_rows=self.bad_rows,
            rows=len(order),
            split=number,
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
            differences=tuple(self.check.differences),
            cluster=spec.cluster,
            arrays=digests,
            data_hash=data_hash(digests, field_sizes, spec.task.classes, sizes),
        )

    def _encode(self, order: pl.Series, train: int, folder: Path) -> list[FieldStats]:
        """Write ids.npy, field by field and then row by row."""
        spec, whole = self.spec, len(order) == len(self.labels)
        encoded = IdColumns(self.columns.folder, len(spec.fields))

        def encode(k: int) -> tuple[FieldStats, int]:
            raw = self.columns.column(spec.fields[k].name)
            ids, stats = encode_field(raw.gather(order), spec.fields[k], train)
            encoded.write(k, ids)
            return stats, stats.distinct if whole else raw.n_unique()

        fields: list[FieldStats] = []
        with ThreadPoolExecutor(AT_ONCE) as pool:
            try:
                for stats, distinct in pool.map(encode, range(len(spec.fields))):
                    fields.append(stats)
                    counting_all = stats.size_counting_all if whole else None
                    self.check.field(stats.name, distinct, counting_all)
                    self.tell(f"{len(fields)} of {len(spec.fields)} fields encoded")
            except BaseException:
                pool.shutdown(cancel_futures=True)  # else the error would wait for all fields
                raise
        encoded.join(folder / "ids.npy", len(order))
        return fields
