"""Batches of a stack's runs, gathered on the device that holds all their examples."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from autoloss.data.load.batches import Batch, Batches
from autoloss.ops.random import permuted
from autoloss.seeds import derive_seed


class Gathered:
    """The batches that `Batches` gives each run, as one: ids `[S, B, F]` and labels `[S, B]`.

    Examples are copied to the device once, those that runs share once for all of them; orders are
    made there, epoch by epoch.
    """

    def __init__(self, each: Sequence[Batches], device: torch.device) -> None:
        self.each, self.device = list(each), device
        self._starts, parts = self._distinct()
        self._ids, self._labels = (
            torch.cat([getattr(part, name) for part in parts]).to(device)
            for name in ("ids", "labels")
        )
        self._order: tuple[int, Tensor] = (-1, torch.empty(0))

    @classmethod
    def size(cls, each: Sequence[Batches]) -> int:
        """Bytes that it takes: examples, orders, and the making of one."""
        parts = {batches.ids.data_ptr(): batches for batches in each}.values()
        examples = sum(part.ids.nbytes + part.labels.nbytes for part in parts)
        return examples + 8 * len(each[0].labels) * (2 * len(each) + 4)

    def _distinct(self) -> tuple[list[int], list[Batches]]:
        """Where each run's examples begin, and those whose they are."""
        places: dict[int, int] = {}
        parts: list[Batches] = []
        for batches in self.each:
            if batches.ids.data_ptr() not in places:
                places[batches.ids.data_ptr()] = sum(len(part.labels) for part in parts)
                parts.append(batches)
        return [places[batches.ids.data_ptr()] for batches in self.each], parts

    def batch(self, k: int) -> Batch:
        """The k-th of each run."""
        first = self.each[0]
        epoch, position = divmod(k, first.count)
        if self._order[0] != epoch:
            self._order = epoch, self._ordered(epoch)
        start = position * first.batch_size
        rows = self._order[1][:, start : start + first.batch_size].flatten()
        ids, labels = self._ids.index_select(0, rows), self._labels.index_select(0, rows)
        shape = len(self.each), len(rows) // len(self.each)
        return Batch(ids.view(*shape, -1).long(), labels.view(shape).long())

    def part(self, rows: slice) -> Batch:
        """These rows of each run, in stored order."""
        each = [slice(start + rows.start, start + rows.stop) for start in self._starts]
        ids, labels = (
            torch.stack([x[own] for own in each]).long() for x in (self._ids, self._labels)
        )
        return Batch(ids, labels)

    def _ordered(self, epoch: int) -> Tensor:
        """The rows of an epoch, `[S, n]`, those of a batch in stored order as in `Batches`."""
        orders = []
        for batches, start in zip(self.each, self._starts, strict=True):
            n, size = len(batches.labels), batches.batch_size
            seed = derive_seed(batches.seed, "order", batches.name, epoch)
            order = permuted(seed, n, self.device) + start
            full, rest = torch.split(order, [n - n % size, n % size])
            orders += [full.view(-1, size).sort(dim=1).values.flatten(), rest.sort().values]
        return torch.cat(orders).view(len(self.each), -1)
