"""Batches of a stack's runs side by side, made on the host: ids `[S, B, F]` and labels `[S, B]`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor

from autoloss.data.load.batches import Batch, Batches


class Together:
    """The batches that `Batches` gives each run, as one."""

    def __init__(self, each: Sequence[Batches], device: torch.device) -> None:
        self.each, self.device = list(each), device

    def batch(self, k: int) -> Batch:
        """The k-th of each run."""
        parts = [batches.batch(k) for batches in self.each]
        return Batch(*map(torch.stack, zip(*parts, strict=True))).to(self.device)

    def part(self, rows: slice) -> Batch:
        """These rows of each run, in stored order."""
        ids, labels = (
            torch.stack([getattr(batches, name)[rows] for batches in self.each])
            for name in ("ids", "labels")
        )
        return Batch(ids.to(self.device).long(), labels.to(self.device).long())


class Room:
    """Memory for one batch, pinned where a GPU is to copy from it."""

    def __init__(self, each: Sequence[Batches], pinned: bool) -> None:
        shape = len(each), each[0].batch_size, each[0].ids.shape[1]
        self.ids = torch.empty(shape, dtype=torch.int32, pin_memory=pinned)
        self.labels = torch.empty(shape[:2], dtype=torch.int32, pin_memory=pinned)
        self.read: Any = None  # the event of the copy from it

    def fill(self, each: Sequence[Batches], k: int) -> tuple[Tensor, Tensor]:
        """The k-th batch of each run, in it."""
        parts = [batches.batch(k) for batches in each]
        size = len(parts[0].labels)
        for s, part in enumerate(parts):
            self.ids[s, :size], self.labels[s, :size] = part
        return self.ids[:, :size], self.labels[:, :size]


class Ahead(Together):
    """As `Together`, each batch made by a thread of its own while the one before it is at work.

    What a GPU is to copy lies in pinned memory, so that nobody waits for the copy either.
    """

    def __init__(self, each: Sequence[Batches], device: torch.device) -> None:
        super().__init__(each, device)
        self._rooms = [Room(each, device.type == "cuda") for _ in range(2)]
        self._maker = ThreadPoolExecutor(1)  # asks CUDA for nothing: a graph may be in the making
        self._coming: tuple[int, Future[tuple[Tensor, Tensor]]] | None = None

    def batch(self, k: int) -> Batch:
        """The k-th of each run; the next one is begun."""
        if self._coming is None or self._coming[0] != k:
            self._begin(k)
        assert self._coming is not None
        made = self._coming[1].result()
        batch = Batch(*(x.to(self.device, non_blocking=True, copy=True).long() for x in made))
        if self.device.type == "cuda":
            stream = torch.cuda.current_stream(self.device)
            self._rooms[0].read = stream.record_event()  # type: ignore[no-untyped-call]
        self._begin(k + 1)
        return batch

    def _begin(self, k: int) -> None:
        """Have the k-th made in the room that has not been read from for longest."""
        if self._coming is not None:
            self._coming[1].result()
        self._rooms.reverse()
        room = self._rooms[0]
        if room.read is not None:
            room.read.synchronize()
        self._coming = k, self._maker.submit(room.fill, self.each, k)
