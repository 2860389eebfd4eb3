"""Splits made of another data set's: fewer rows, another share of positives, flipped labels.

The base's prepared arrays are all that is read: its ids stay, but for those that too few of the
rows that are left in training have, which fold into 0 as in any preparation. Every split has the
same number of rows in each part, and as many flips, whatever its number.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from autoloss.data.derived_specs import Derived
from autoloss.data.folders import atomic_folder, sole_owner
from autoloss.data.load.prepared import PreparedData
from autoloss.data.manifest import (
    FieldStats,
    Manifest,
    Statistics,
    data_hash,
    digest,
    write_manifest,
)
from autoloss.data.progress import Say, to_stderr
from autoloss.data.specs import SPLITS, DatasetSpec
from autoloss.errors import DataError

Bools = npt.NDArray[np.bool_]
ARRAYS = ("ids", "labels", "rows", "flipped")
CLUSTERS = "clusters"
ROOM = 0.8  # of the rows that a limited base has of a class: its parts have a little less or more


def derive(
    spec: DatasetSpec,
    bases: Mapping[int, Path],
    folders: Mapping[int, Path],
    *,
    max_rows: int | None = None,
    key: str | None = None,
    say: Say = to_stderr,
) -> dict[int, Manifest]:
    """Write each split's folder from the base's of the same number, as `dataset.prepare` does.

    Beside the usual arrays there is `flipped.npy`, bool `[N]`: whose labels are turned round.

    Args:
        bases: by the number of their split, the prepared folders of the data set that it is of.
        max_rows: the base's rows were limited to so many; then `rows` is at most what these give.

    Raises:
        DataError: the base has too few rows of a class, or its region is not there any more.
    """
    made = {}
    names = [f"{name}.npy" for name in (*ARRAYS, CLUSTERS)]
    for number, place in folders.items():
        base = PreparedData.open(bases[number])
        with sole_owner(place, say), atomic_folder(place, names) as folder:
            made[number] = _Split(spec, base, max_rows is not None).write(folder, key)
            write_manifest(folder, made[number])
    return made


@dataclass(frozen=True)
class _Split:
    """A split of the base, and what is to be made of it."""

    spec: DatasetSpec
    base: PreparedData
    limited: bool

    @property
    def how(self) -> Derived:
        """What is to be made."""
        assert self.spec.derived is not None
        return self.spec.derived

    def write(self, folder: Path, key: str | None) -> Manifest:
        """Write the arrays; what their manifest says."""
        base, how = self.base, self.how
        labels, ids = np.array(base.labels), np.asarray(base.ids)
        rows = np.load(base.folder / "rows.npy", allow_pickle=False)
        part = np.repeat(np.arange(3, dtype=np.int8), list(base.manifest.splits.values()))
        # By a row's place in the raw table: one number decides on its sampling, one on its flip.
        chances = np.random.default_rng(how.seed).random((2, base.manifest.raw_rows))
        sampled, flips = chances[0][rows], chances[1][rows]
        del chances
        keep, fields = np.ones(len(rows), dtype=bool), base.manifest.fields
        inside, flipped = self._region(ids), np.zeros(len(rows), dtype=bool)
        if how.rows is not None:
            keep = self._sample(labels, part, sampled)
            renumbered, fields = _renumber(ids, keep & (part == 0), fields)
            self._require_region(renumbered[keep], inside[keep])
            ids = renumbered
        if how.flips is not None:
            flipped = self._flip(inside, labels, part, keep, flips)
            if how.flips.dropped:  # the ids stay those of the rows with the flips
                keep &= ~flipped
                flipped[:] = False
        labels ^= flipped
        arrays: dict[str, npt.NDArray[Any]] = {"labels": labels[keep], "rows": rows[keep]}
        arrays["flipped"] = flipped[keep]
        clusters = base.clusters()
        if clusters is not None:
            arrays[CLUSTERS] = clusters[keep[part == 2]]
        if keep.all() and how.rows is None:
            _link(base.folder / "ids.npy", folder / "ids.npy")
        else:
            arrays["ids"] = ids[keep]
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        counts = {
            name: np.bincount(labels[keep & (part == k)], minlength=2)
            for k, name in enumerate(SPLITS)
        }
        self._require_classes(counts)
        sizes = {name: int(count.sum()) for name, count in counts.items()}
        written = [*ARRAYS, *([CLUSTERS] if clusters is not None else [])]
        digests = {name: digest(folder / f"{name}.npy") for name in written}
        field_sizes = [field.size for field in fields]
        about = {
            "key": key,
            "dataset": self.spec.name,
            "title": self.spec.title,
            "stands_for": self.spec.stands_for,
            "rows": sum(sizes.values()),
            "splits": sizes,
            "fields": tuple(fields),
            "class_counts": {name: tuple(count.tolist()) for name, count in counts.items()},
            "statistics": Statistics(
                interactions=sum(sizes.values()),
                fields=len(fields),
                feature_values=sum(field.distinct for field in fields),
                encoded_features=sum(field_sizes),
            ),
            "differences": (),
            "arrays": digests,
            "data_hash": data_hash(digests, field_sizes, 2, sizes),
        }
        return base.manifest.model_copy(update=about)

    def _shares(self) -> npt.NDArray[np.float64]:
        """Of negatives and positives, as the rows are to have them."""
        if self.how.positives is not None:
            return np.array([1 - self.how.positives, self.how.positives])
        return np.asarray(np.bincount(self.base.labels, minlength=2) / len(self.base.labels))

    def _sample(
        self, labels: npt.NDArray[np.int32], part: npt.NDArray[np.int8], chances: npt.ArrayLike
    ) -> Bools:
        """Which rows are kept: of each part and class those of the least chances."""
        shares, sizes, order = (
            self._shares(),
            self.base.manifest.splits,
            np.argsort(chances, kind="stable"),
        )
        rows = self.how.rows or 0
        if self.limited:
            there = np.bincount(labels, minlength=2) / shares
            rows = min(rows, int(ROOM * there.min()), len(labels))
        parts = {name: round(rows * size / len(labels)) for name, size in sizes.items()}
        parts["train"] = rows - parts["validation"] - parts["test"]
        keep = np.zeros(len(labels), dtype=bool)
        for k, (name, size) in enumerate(parts.items()):
            positive = round(size * shares[1])
            for label, count in enumerate((size - positive, positive)):
                of_class = order[(part[order] == k) & (labels[order] == label)]
                if len(of_class) < count:
                    what = f"{'positive' if label else 'negative'} rows in {name}"
                    problem = f"asks for {count} {what}, {self.how.base} has {len(of_class)}"
                    raise DataError(self.spec.name, problem, "ask for fewer `rows`")
                keep[of_class[:count]] = True
        return keep

    def _region(self, ids: npt.NDArray[np.int32]) -> Bools:
        """The rows of the region of flips; all, where none is said."""
        region = self.how.flips.region if self.how.flips else None
        if region is None:
            return np.ones(len(ids), dtype=bool)
        names = [field.name for field in self.base.manifest.fields]
        return np.isin(ids[:, names.index(region.field)], region.ids)

    def _flip(
        self,
        inside: Bools,
        labels: npt.NDArray[np.int32],
        part: npt.NDArray[np.int8],
        keep: Bools,
        chances: npt.ArrayLike,
    ) -> Bools:
        """Which labels are flipped: in each part that share of the region, those of least chances.

        The region's share is that of the whole base, so that all splits have as many.
        """
        flips, order = self.how.flips, np.argsort(chances, kind="stable")
        assert flips is not None
        if not inside.any():
            problem = f"its region has no row: {flips.region}"
            raise DataError(self.spec.name, problem, "name ids that the field has")
        by_class = [inside[labels == label].mean() for label in (0, 1)]
        share = flips.share * float(self._shares() @ by_class)
        flipped = np.zeros(len(labels), dtype=bool)
        for name in dict.fromkeys(flips.parts):
            own = keep & (part == SPLITS.index(name))
            count, there = round(share * int(own.sum())), order[(own & inside)[order]]
            if len(there) < count:
                problem = f"asks for {count} flips in {name}, whose region has {len(there)} rows"
                raise DataError(self.spec.name, problem, "lower the share of `flips`")
            flipped[there[:count]] = True
        return flipped

    def _require_region(self, ids: npt.NDArray[np.int32], inside: Bools) -> None:
        """A method that is told the region's ids finds it by them, in the sample too."""
        if (self._region(ids) != inside).any():
            problem = "its rows are too few for the values of the region's field to keep their ids"
            mend = "ask for more `rows`, or for a region of more frequent values"
            raise DataError(self.spec.name, problem, mend)

    def _require_classes(self, counts: Mapping[str, npt.NDArray[np.int64]]) -> None:
        for name, count in counts.items():
            if not count.all():
                problem = f"no example of class {int(count.argmin())} is left in {name}"
                raise DataError(self.spec.name, problem, "ask for more `rows`")


def _renumber(
    ids: npt.NDArray[np.int32], trained: Bools, fields: tuple[FieldStats, ...]
) -> tuple[npt.NDArray[np.int32], tuple[FieldStats, ...]]:
    """Ids in their order, without those that fewer than `min_count` of the rows `trained` have."""
    renumbered, described = np.empty_like(ids), []
    for k, field in enumerate(fields):
        counts = np.bincount(ids[trained, k], minlength=field.size)
        kept = counts >= max(field.min_count, 1)
        kept[0] = False
        renumbered[:, k] = np.where(kept, np.cumsum(kept), 0)[ids[:, k]]
        size = int(kept.sum()) + 1
        more = field.size - size
        about = {"size": size, "folded": field.folded + more, "size_counting_all": None}
        described.append(field.model_copy(update=about))
    return renumbered, tuple(described)


def _link(source: Path, target: Path) -> None:
    """The same file under another name; where the disk cannot, a copy of it."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
