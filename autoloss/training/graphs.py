"""Steps of a stack as CUDA graphs: each kind of step is recorded once, and then started as one.

A step of hundreds of kernels takes as long as Python takes to start them. A graph starts them all;
what they read lies at fixed addresses, so batches are copied to their places first. Where a step
cannot be recorded, steps are started kernel by kernel as ever, and it is said why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch

from autoloss.data.load.batches import Batch
from autoloss.training.steps import Taken

WARM = 2  # steps of a kind before it is recorded: until then memory is taken and libraries start
Work = Callable[[], Taken]


class Recorder(Protocol):
    """Records work for a device."""

    def warm(self, work: Work) -> Taken:
        """Do it, as it will be recorded."""

    def record(self, work: Work) -> tuple[Taken, Callable[[], None]]:
        """Do it, and what does it again, with the same numbers at the same addresses.

        Raises:
            RuntimeError: it cannot be recorded; nothing was done.
        """


class Cuda:
    """CUDA's own graphs, all in one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._pool = device, torch.cuda.graph_pool_handle()
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def warm(self, work: Work) -> Taken:
        """On the stream that graphs are recorded on."""
        others = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(others)
        with torch.cuda.stream(self._stream):
            results = work()
        others.wait_stream(self._stream)
        return results

    def record(self, work: Work) -> tuple[Taken, Callable[[], None]]:
        """Recording does nothing yet: then it is replayed."""
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            results = work()
        graph.replay()
        return results, graph.replay


@dataclass
class Recorded:
    """A kind of step: what it gives, how it is done again, and the passes that it is."""

    results: Taken
    replay: Callable[[], None]
    passes: tuple[int, int]


class Graphs:
    """Takes the steps of a stack by graphs, one for each kind and size of batch.

    Args:
        stack: a `training.stack.Stack`.
        recorder: of the stack's device.
        say: told, once, why steps are not recorded, if they are not.
    """

    def __init__(self, stack: Any, recorder: Recorder, say: Callable[[str], None]) -> None:
        self.stack, self._recorder, self._say = stack, recorder, say
        self.why: str | None = None
        self._places: dict[tuple[str, int], Batch] = {}
        self._validates: dict[Hashable, bool] = {}  # kinds that have been: whether they look at it
        self._seen: Counter[Hashable] = Counter()
        self._recorded: dict[Hashable, Recorded] = {}

    def take(self, t: int) -> Taken:
        """As `Stack.take` of step `t`."""
        stack, kind = self.stack, self.stack.method.kind(t)
        results: Taken
        if self.why is not None:
            results = stack.take(stack.step(t))
            return results
        next_one = stack.progress.outer_steps  # each outer step looks at one more
        batch, validation = self._placed("train", t), None
        if self._validates.get(kind):
            validation = self._placed("validation", next_one)
        key = kind, *(one and one.labels.shape[-1] for one in (batch, validation))
        if recorded := self._recorded.get(key):
            stack.seed.begin(t, key)
            recorded.replay()
            stack.passes.add(*recorded.passes)
            stack.optimizer.moved()
            return recorded.results

        def look(k: int) -> Batch:
            self._validates[kind] = True
            if k != next_one:
                name = stack.method.info.name
                self._give_up(f"{name} has an order of validation batches of its own")
                batch: Batch = stack.batch("validation", k)
                return batch
            return validation or self._placed("validation", k)

        self._seen[key] += 1
        work = partial(stack.take, stack.step(t, batch, look, key))
        if self._seen[key] <= WARM:
            return self._recorder.warm(work)
        before = stack.passes.take()
        try:
            results, replay = self._recorder.record(work)
        except RuntimeError as error:
            self._give_up(str(error).partition("\n")[0])
            stack.passes.take()  # of what was not done
            results = stack.take(stack.step(t))
        else:
            self._recorded[key] = Recorded(results, replay, stack.passes.counted)
        stack.passes.add(*before)
        return results

    def _placed(self, split: str, k: int) -> Batch:
        """The k-th batch, at the place of all of its size."""
        batch = self.stack.batch(split, k)
        place = self._places.setdefault((split, batch.ids.shape[-2]), batch)
        for to, value in zip(place, batch, strict=True):
            to.copy_(value)
        return place

    def _give_up(self, why: str) -> None:
        if self.why is None:
            self.why = why
            self._say(f"steps are started kernel by kernel: {why}")
