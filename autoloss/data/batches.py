"""Batches in an order that depends on the seed alone, read straight from the memory map."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from autoloss.seeds import derive_seed

TOGETHER = 16  # batches read at once: each alone costs as much in calls as in reading


class Batch(NamedTuple):
    """Examples: ids `[B, F]` int64 (field-local) and labels `[B]` int64 (class indices)."""

    ids: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same examples on `device`."""
        return Batch(self.ids.to(device), self.labels.to(device))


class Batches:
    """One split cut into batches; a last batch of a single example is dropped (batch norm).

    Args:
        ids: `[n, F]` integer array, possibly memory-mapped.
        labels: `[n]` integer array.
        seed: of the order.
        name: address of the order's seed, so that two splits are shuffled independently.
    """

    def __init__(
        self, ids: np.ndarray, labels: np.ndarray, batch_size: int, *, seed: int, name: str
    ) -> None:
        # As plain arrays over the same memory: a memmap costs more at every indexing.
        self.ids, self.labels, self.batch_size = np.asarray(ids), np.asarray(labels), batch_size
        self.seed, self.name = seed, name
        full, rest = divmod(len(labels), batch_size)
        self.count = full + (rest > 1)
        self.examples = min(self.count * batch_size, len(labels))
        self._read: tuple[tuple[int, int], Batch] = ((-1, -1), self._at(slice(0)))
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))

    def order(self, epoch: int) -> np.ndarray:
        """The permutation of an epoch; the last one asked for is kept."""
        if self._order[0] != epoch:
            generator = np.random.default_rng(derive_seed(self.seed, "order", self.name, epoch))
            self._order = (epoch, generator.permutation(len(self.labels)))
        return self._order[1]

    def batch(self, k: int) -> Batch:
        """The k-th batch of an endless run of epochs, on the CPU."""
        epoch, position = divmod(k, self.count)
        first = position - position % TOGETHER
        if self._read[0] != (epoch, first):
            self._read = (epoch, first), self._examples(epoch, first)
        ids, labels = self._read[1]
        start = (position - first) * self.batch_size
        return Batch(*(x[start : start + self.batch_size] for x in (ids, labels)))

    def _examples(self, epoch: int, first: int) -> Batch:
        """Those of the batches `first` .. `first + TOGETHER - 1`."""
        size = self.batch_size
        rows = self.order(epoch)[first * size : (first + TOGETHER) * size]
        # Within a batch in stored order: memory is read forwards.
        rows = np.concatenate([np.sort(rows[i : i + size]) for i in range(0, len(rows), size)])
        return self._at(rows)

    def _at(self, rows: np.ndarray | slice) -> Batch:
        ids, labels = (array[rows].astype(np.int64) for array in (self.ids, self.labels))
        return Batch(torch.from_numpy(ids), torch.from_numpy(labels))

    def in_order(self) -> Iterator[Batch]:
        """All examples once, in stored order, none dropped (for evaluation)."""
        for start in range(0, len(self.labels), self.batch_size):
            yield self._at(slice(start, start + self.batch_size))
