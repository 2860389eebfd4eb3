"""Trainers of the two configurations whose steps are looked at, on generated data.

The paper's: the paper scale's (batches of 2,000, batch norm, dropout 0.2, MLP 128-128) on rows of
Criteo as `autoloss data synth` plants them, with the 1.8 million values that the full size leaves
after rare ones are one, read from a memory map of 340 MB. The laptop's: its scale's (batches of
512) on rows of MovieLens-100K's shape.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import task
from scipy.special import expit

from autoloss.config import load_config
from autoloss.data.load.prepared import PreparedData
from autoloss.data.manifest import FieldStats, Manifest
from autoloss.methods.load import load
from autoloss.synth.planted import Planted, Vocabulary
from autoloss.synth.recipes import criteo
from autoloss.training.loop import Trainer

ROOT = Path(__file__).parents[1]
STEPS = 7  # of a block: one outer step is always among them
BLOCK = 1 << 17  # rows that are generated at a time
FULL_ROWS = 36_672_494  # of Criteo's training split
MIN_COUNT = 10
ML_100K = (944, 1152, 19, 3, 22, 240, 72, 190)  # values of its 8 fields, rare ones one

Ids = npt.NDArray[np.int32]


class Scale(NamedTuple):
    """A configuration: its scale's name, threads, rows; and of smaller ones than it is.

    These have a batch of their own, and one value for every `thin` of the full size.
    """

    name: str
    threads: int
    rows: Mapping[str, int]
    batch: int | None = None
    thin: int = 1

    def trainer(
        self, method: str, model: str = "deepfm", keys: Mapping[str, Any] | None = None
    ) -> Trainer:
        """A run of `method` in training mode, with `keys` of the configuration over the scale's."""
        training: dict[str, Any] = {"threads": self.threads, "device": "cpu"}
        if self.batch:
            training["batch_size"] = self.batch
        config = load_config({"scale": self.name, "training": training, **(keys or {})}, ROOT)
        sizes, ids, labels = (paper_rows if self.name == "paper" else laptop_rows)(self)
        manifest = Manifest.model_construct(
            splits=dict(self.rows),
            fields=tuple(
                FieldStats.model_construct(name=f"f{k}", size=size) for k, size in enumerate(sizes)
            ),
            classes=2,
            data_hash="",
        )
        data = PreparedData(ROOT, manifest, ids, labels)
        made = Trainer(config, data, model, load(method), seed=0)
        made.model.train()
        made.method.train()
        return made


PAPER = Scale("paper", 2, {"train": 2_000_000, "validation": 200_000, "test": 2_000})
LAPTOP = Scale("laptop", 1, {"train": 80_000, "validation": 10_000, "test": 10_000})


def block(trainer: Trainer) -> float:
    """Seconds of a step, the mean over STEPS, the reading of their batches included."""
    started = time.perf_counter()
    for _ in range(STEPS):
        trainer.inner_step()
    return (time.perf_counter() - started) / STEPS


def paper_rows(scale: Scale) -> tuple[list[int], Ids, Ids]:
    """Sizes of the fields, ids `[n, 39]` and labels `[n]`; of the full size generated once."""
    columns = [column.vocabulary for column in criteo().columns.values()]
    sizes = [_values_left(column) // scale.thin + 2 for column in columns]
    rows = sum(scale.rows.values())
    if scale.thin > 1:
        return sizes, *_generated(columns, sizes, rows)
    files = [task.CACHE / f"criteo_{rows}_{what}.npy" for what in ("ids", "labels")]
    if not files[1].exists():
        task.CACHE.mkdir(exist_ok=True)
        for file, array in zip(files, _generated(columns, sizes, rows), strict=True):
            np.save(file, array)
    ids, labels = (np.load(file, mmap_mode="r") for file in files)
    return sizes, ids, labels


def _generated(columns: Sequence[Vocabulary], sizes: Sequence[int], rows: int) -> tuple[Ids, Ids]:
    ids, labels = np.empty((rows, len(columns)), np.int32), np.empty(rows, np.int32)
    model = Planted(columns, seed=0)
    shuffled = [np.random.default_rng(k).permutation(n - 1) + 1 for k, n in enumerate(sizes)]
    for number, start in enumerate(range(0, rows, BLOCK)):
        random, part = model.random(number), slice(start, min(start + BLOCK, rows))
        ranks = model.ranks(random, part.stop - start)
        for k, (column, of) in enumerate(zip(columns, shuffled, strict=True)):
            # Counts go by the square of their logarithm; ranks behind the last are one value.
            rank = np.log1p(ranks[k]) ** 2 if column.count else ranks[k]
            place = rank.astype(np.int64)
            ids[part, k] = np.where(place < len(of), of[np.minimum(place, len(of) - 1)], 0)
        clicked = expit(1.4 * model.scores(ranks) - 1.4)
        labels[part] = clicked > random.random(len(clicked))
    return ids, labels


def _values_left(column: Vocabulary) -> int:
    """Values of a field of all Criteo that occur MIN_COUNT times; of a count, its buckets."""
    if column.count:
        return int(np.log1p(column.size) ** 2)
    # Of Zipf's law a value of rank r occurs about A / r times, MIN_COUNT or more as a Poisson
    # number in A / (MIN_COUNT - 1) ranks, all added up.
    scale = FULL_ROWS * (1 - column.missing) / np.log(column.size + 1)
    return min(column.size, int(scale / (MIN_COUNT - 1)))


def laptop_rows(scale: Scale) -> tuple[list[int], Ids, Ids]:
    """As `paper_rows`, uniform ids in memory: the tables are small."""
    random, rows = np.random.default_rng(0), sum(scale.rows.values())
    ids = np.stack([random.integers(size, size=rows) for size in ML_100K], axis=1)
    labels = random.random(rows) < expit(np.sin(ids).sum(axis=1))
    return list(ML_100K), ids.astype(np.int32), labels.astype(np.int32)
