"""Raw files to encoded arrays: parse, check, split, encode (paper §3.1 and Table 1)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from autoloss.data import adult, movielens
from autoloss.data.atomic import atomic_folder, digest
from autoloss.data.encode import Encoded, encode_field, encode_labels
from autoloss.data.fetch import verify_raw
from autoloss.data.manifest import Manifest, RawManifest, Statistics, data_hash, write_manifest
from autoloss.data.registry import DatasetSpec
from autoloss.data.split import check_rows, split_rows
from autoloss.errors import ConfigError, DataError, did_you_mean

# A source's mirrors name their format; a new format adds its parser here.
READERS: dict[str, Callable[[Path], pl.DataFrame]] = {
    "grouplens": movielens.read_grouplens,
    "recbole": movielens.read_recbole,
    "uci": adult.read_uci,
    "widedeep": adult.read_widedeep,
}


def prepare(
    spec: DatasetSpec, raw_dir: Path, out_dir: Path, *, max_rows: int | None = None
) -> Manifest:
    """Write ids.npy, labels.npy, rows.npy and manifest.json of `spec` into `out_dir`.

    Rows are in split order: training, validation, test. `out_dir` is replaced as a whole, once
    everything is written; `max_rows` keeps a random sample, for smoke tests.
    """
    raw = verify_raw(raw_dir)
    if raw.source != spec.source:
        mend = f"run `autoloss fetch {spec.source}`"
        raise DataError(str(raw_dir), f"holds {raw.source}, expected {spec.source}", mend)
    frame = read_raw(raw, raw_dir)
    _check_columns(spec, frame)
    labels = encode_labels(frame[spec.task.label], spec.task)
    _check_content(spec, frame, labels)
    rows, sizes = split_rows(frame.height, spec.split, max_rows)
    check_rows(rows, frame.height)
    sample = frame[rows]
    fields = [encode_field(sample[f.name], f, sizes["train"]) for f in spec.fields]
    with atomic_folder(out_dir) as folder:
        arrays: dict[str, npt.NDArray[np.integer]] = {
            "ids": np.stack([field.ids for field in fields], axis=1),
            "labels": labels[rows],
            "rows": rows,
        }
        digests = {name: _save(folder / f"{name}.npy", array) for name, array in arrays.items()}
        manifest = _manifest(spec, raw, frame.height, sizes, fields, labels[rows], digests)
        write_manifest(folder, manifest)
    return manifest


def read_raw(raw: RawManifest, raw_dir: Path) -> pl.DataFrame:
    """The raw rows as one frame, by the parser of the mirror's format."""
    if raw.format not in READERS:
        hint = did_you_mean(raw.format, READERS)
        raise ConfigError(f"source {raw.source}", f"no parser for format '{raw.format}'", hint)
    return READERS[raw.format](raw_dir)


def _check_columns(spec: DatasetSpec, frame: pl.DataFrame) -> None:
    for name in (spec.task.label, *(field.name for field in spec.fields)):
        if name not in frame.columns:
            where = f"configs/datasets/{spec.name}.yaml"
            hint = did_you_mean(name, frame.columns)
            raise ConfigError(where, f"{spec.source} has no column '{name}'", hint)


def _check_content(spec: DatasetSpec, frame: pl.DataFrame, labels: npt.NDArray[np.int32]) -> None:
    """The raw data against what the data set's file expects, whichever mirror it came from."""
    if spec.expected is None:
        return
    counts = tuple(np.bincount(labels, minlength=spec.task.classes).tolist())
    pairs: list[tuple[str, object, object]] = [("rows", spec.expected.rows, frame.height)]
    for name, distinct in spec.expected.distinct.items():
        pairs.append((f"distinct values of {name}", distinct, frame[name].n_unique()))
    if spec.expected.class_counts is not None:
        pairs.append(("rows of each class", spec.expected.class_counts, counts))
    for what, expected, found in pairs:
        if expected != found:
            mend = f"run `autoloss fetch {spec.source} --force`, or correct `expected`"
            raise DataError(spec.name, f"expected {expected} {what}, found {found}", mend)


def _save(path: Path, array: npt.NDArray[np.integer]) -> str:
    np.save(path, array, allow_pickle=False)
    return digest(path)


def _manifest(
    spec: DatasetSpec,
    raw: RawManifest,
    raw_rows: int,
    sizes: dict[str, int],
    fields: list[Encoded],
    labels: npt.NDArray[np.int32],
    digests: dict[str, str],
) -> Manifest:
    stats = tuple(field.stats for field in fields)
    classes = spec.task.classes
    parts = np.split(labels, np.cumsum(list(sizes.values()))[:-1])
    field_sizes = [field.size for field in stats]
    return Manifest(
        dataset=spec.name,
        title=spec.title,
        stands_for=spec.stands_for,
        source=spec.source,
        mirror=raw.mirror,
        raw_files=raw.files,
        raw_rows=raw_rows,
        rows=len(labels),
        split_seed=spec.split.seed,
        splits=sizes,
        fields=stats,
        classes=classes,
        class_counts={
            name: tuple(np.bincount(part, minlength=classes).tolist())
            for name, part in zip(sizes, parts, strict=True)
        },
        statistics=Statistics(
            interactions=len(labels),
            fields=len(stats),
            feature_values=sum(field.distinct for field in stats),
            encoded_features=sum(field_sizes),
        ),
        arrays=digests,
        data_hash=data_hash(digests, field_sizes, classes, sizes),
    )
