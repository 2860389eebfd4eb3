"""A prepared split, opened: memory-mapped arrays and their manifest, checked on opening."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoloss.data.manifest import Manifest, data_hash, digest, read_manifest
from autoloss.data.specs import SPLITS
from autoloss.errors import DataError, did_you_mean
from autoloss.task import Task

Ints = npt.NDArray[np.int32]
Rows = tuple[Ints, Ints]  # ids [n, F] and labels [n]
CHUNK = 1 << 20  # rows checked at a time, so that opening Criteo needs no memory for it


@dataclass(frozen=True, eq=False)
class PreparedData:
    """Encoded rows in split order: `ids` int32 [N, F], field-local, and `labels` int32 [N]."""

    folder: Path
    manifest: Manifest
    ids: Ints
    labels: Ints

    @classmethod
    def open(cls, folder: Path) -> PreparedData:
        """Map the arrays of `folder`; a DataError if one is missing or breaks its manifest."""
        dataset = folder.parent.name.partition(".")[0]  # the rest is a row limit
        mend = f"run `autoloss prepare {dataset}`, with the --config of the study"
        manifest = read_manifest(folder, Manifest, mend)
        command = f"autoloss prepare {manifest.dataset}"
        mend = f"prepare it again: `{command}` with the study's --config"
        rows = sum(manifest.splits.values())
        ids = _map(folder / "ids.npy", (rows, len(manifest.fields)), mend)
        labels = _map(folder / "labels.npy", (rows,), mend)
        data = cls(folder, manifest, ids, labels)
        _check_range(folder / "ids.npy", ids, data.field_sizes, mend)
        _check_range(folder / "labels.npy", labels[:, None], (manifest.classes,), mend)
        now = data_hash(manifest.arrays, data.field_sizes, manifest.classes, manifest.splits)
        if tuple(manifest.splits) != SPLITS or now != manifest.data_hash:
            raise DataError(str(folder), "the manifest was changed by hand", mend)
        return data

    @property
    def task(self) -> Task:
        """The task that labels belong to."""
        return Task(classes=self.manifest.classes)

    @property
    def field_sizes(self) -> tuple[int, ...]:
        """Number of ids of each field, the default 0 included."""
        return tuple(field.size for field in self.manifest.fields)

    @property
    def data_hash(self) -> str:
        """Hash of the content, for run records."""
        return self.manifest.data_hash

    def clusters(self) -> Ints | None:
        """The cluster of each test row, [n]: rows of one number are alike; None without clusters.

        The numbers are the same in every split of a data set.
        """
        if self.manifest.cluster is None:
            return None
        mend = f"prepare it again: `autoloss prepare {self.manifest.dataset}`"
        return _map(self.folder / "clusters.npy", (self.manifest.splits["test"],), mend)

    def split(self, *names: str) -> Rows:
        """Ids [n, F] and labels [n] of a split, or of splits that follow each other, mapped."""
        sizes, order = self.manifest.splits, list(self.manifest.splits)
        for name in names:
            if name not in sizes:
                raise DataError(str(self.folder), f"no split '{name}'", did_you_mean(name, sizes))
        first = order.index(names[0])
        if tuple(order[first : first + len(names)]) != names:
            raise ValueError(f"splits {names} do not follow each other in {order}")
        start = sum(sizes[name] for name in order[:first])
        part = slice(start, start + sum(sizes[name] for name in names))
        return self.ids[part], self.labels[part]

    def validation(self, halves: bool) -> tuple[Rows, Rows]:
        """Ids and labels that weightings learn on, then those that stop, calibrate and judge.

        Both are the whole validation split, or its rows 0, 2, 4, ... and 1, 3, 5, ...: halves at
        random, as the order of the split is.

        Raises:
            DataError: a half has no example of a class: AUC needs them.
        """
        ids, labels = self.split("validation")
        if not halves:
            return (ids, labels), (ids, labels)
        for name, part in (("even", labels[::2]), ("odd", labels[1::2])):
            counts = np.bincount(part, minlength=self.manifest.classes)
            if not counts.all():
                half = f"the half of validation in {name} rows"
                problem = f"no example of class {counts.argmin()} in {half}"
                mend = "use more rows, or set training.validation to whole (a reading has it too)"
                raise DataError(str(self.folder), problem, mend)
        return (ids[::2], labels[::2]), (ids[1::2], labels[1::2])

    def verify(self) -> None:
        """Read every byte again: a DataError if an array differs from its digest."""
        for name, expected in self.manifest.arrays.items():
            path = self.folder / f"{name}.npy"
            if (now := digest(path)) != expected:
                problem = f"expected sha256 {expected}, found {now}"
                mend = f"`autoloss prepare {self.manifest.dataset}` with the study's --config"
                raise DataError(str(path), problem, f"prepare it again: {mend}")


def verified(folder: Path) -> PreparedData:
    """A split, opened, whose arrays are those of its manifest: each is read once, until it changes.

    Raises:
        DataError: it is not there, or damaged.
    """
    files = sorted(folder.glob("*.*"))
    return _verified(folder.resolve(), tuple((f.name, f.stat().st_mtime_ns) for f in files))


@cache
def _verified(folder: Path, files: tuple[tuple[str, int], ...]) -> PreparedData:
    data = PreparedData.open(folder)
    data.verify()
    return data


def _map(path: Path, shape: tuple[int, ...], mend: str) -> Ints:
    try:
        array: Ints = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataError(str(path), "no such file", mend) from None
    except (ValueError, OSError, EOFError) as error:
        raise DataError(str(path), f"not an array: {error}", mend) from None
    if array.shape != shape or array.dtype != np.int32:
        problem = f"expected int32 {list(shape)}, found {array.dtype} {list(array.shape)}"
        raise DataError(str(path), problem, mend)
    return array


def _check_range(path: Path, array: Ints, sizes: tuple[int, ...], mend: str) -> None:
    """Every column within 0 .. size-1: a stray id would read another field's embedding."""
    for start in range(0, len(array), CHUNK):
        chunk = array[start : start + CHUNK]
        wrong = np.argwhere((chunk < 0) | (chunk >= np.asarray(sizes)))
        if len(wrong):
            row, column = wrong[0]
            problem = f"row {start + row}, column {column} holds {chunk[row, column]}, expected "
            raise DataError(str(path), problem + f"0 to {sizes[column] - 1}", mend)
