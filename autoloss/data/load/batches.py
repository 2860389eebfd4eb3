"""Batches in an order that depends on the seed alone, read straight from the memory map."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from autoloss.ops.random import permutation
from autoloss.seeds import derive_seed

TOGETHER = 1 << 16  # ids that are read at once: a small batch alone takes longer in calls


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that these must not be written to
            self.ids, self.labels = (torch.from_numpy(np.asarray(x)) for x in (ids, labels))
        self.batch_size, self.seed, self.name = batch_size, seed, name
        full, rest = divmod(len(labels), batch_size)
        self.count = full + (rest > 1)
        self.examples = min(self.count * batch_size, len(labels))
        self._order: tuple[int, np.ndarray] = (-1, np.empty(0, dtype=np.int64))
        self._together = max(1, TOGETHER // (batch_size * self.ids.shape[1]))  # batches
        self._read: tuple[tuple[int, int], Batch] | None = None

    def order(self, epoch: int) -> np.ndarray:
        """The permutation of an epoch; the last one asked for is kept."""
        if self._order[0] != epoch:
            seed = derive_seed(self.seed, "order", self.name, epoch)
            self._order = (epoch, permutation(seed, len(self.labels)))
        return self._order[1]

    def batch(self, k: int) -> Batch:
        """The k-th batch of an endless run of epochs, on the CPU."""
        epoch, position = divmod(k, self.count)
        group, k = divmod(position, self._together)
        if self._read is None or self._read[0] != (epoch, group):
            self._read = (epoch, group), self._examples(epoch, group)
        part = slice(k * self.batch_size, (k + 1) * self.batch_size)
        return Batch(*(x[part] for x in self._read[1]))

    def _examples(self, epoch: int, group: int) -> Batch:
        """Those of a group of batches."""
        size = self._together * self.batch_size
        rows = self.order(epoch)[group * size : (group + 1) * size]
        # Within a batch in stored order: memory is read forwards.
        each = [
            np.sort(rows[i : i + self.batch_size]) for i in range(0, len(rows), self.batch_size)
        ]
        order = torch.from_numpy(np.concatenate(each))
        return Batch(*(x.index_select(0, order).long() for x in (self.ids, self.labels)))

    def in_order(self) -> Iterator[Batch]:
        """All examples once, in stored order, none dropped (for evaluation)."""
        for start in range(0, len(self.labels), self.batch_size):
            yield Batch(
                *(x[start : start + self.batch_size].long() for x in (self.ids, self.labels))
            )
