"""The steps of training, one after the other: of a run, or of a stack of runs at once."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from autoloss.config import TrainingOptions
from autoloss.data.load.batches import Batch, Batches
from autoloss.methods.contract import Method, Step
from autoloss.ops.weights import tally
from autoloss.seeds import Seeds
from autoloss.training import checkpoint
from autoloss.training.generators import Generators
from autoloss.training.optimizer import ModelAdam
from autoloss.training.pace import Pace
from autoloss.training.passes import Passes
from autoloss.training.stop import asked_to_stop, stop_if_asked

Taken = tuple[Tensor, Tensor, int]  # of a step: loss, weights, and how many outer steps it had


@dataclass
class Progress:
    """What a run has done so far; all of it goes into checkpoints and the record."""

    epoch: int = 0
    steps: int = 0
    outer_steps: int = 0
    examples: int = 0
    forward_examples: int = 0
    backward_examples: int = 0
    seconds: float = 0.0
    best_value: float = -math.inf
    best_epoch: int = 0
    curves: list[dict[str, float]] = field(default_factory=list)
    mean_weights: list[list[float]] = field(default_factory=list)
    selection: list[list[float]] = field(default_factory=list)
    choices: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Sums:
    """Over the steps of the epoch at hand: the loss, and each candidate's weight and share.

    Of a stack each has S in front.
    """

    loss: Tensor
    weights: Tensor
    selected: Tensor

    @classmethod
    def zero(cls, candidates: int, device: torch.device, stack: tuple[int, ...] = ()) -> Sums:
        """Of no step: a scalar and twice `[n]`."""
        both = torch.zeros(2, *stack, candidates, device=device)
        return cls(torch.zeros(stack, device=device), *both)

    def of_run(self, s: int) -> Sums:
        """Those of a stack's run `s`."""
        return Sums(self.loss[s], self.weights[s], self.selected[s])

    def add(self, loss: Tensor, weights: Tensor) -> None:
        """A step's loss (scalar) and weights, `[n]` or `[B, n]`."""
        weights = weights.unsqueeze(-2) if weights.dim() == self.weights.dim() else weights
        self.loss += loss
        tally(weights, self.weights, self.selected)


class Loop(ABC):
    """Makes the steps of `model` under `method`: of a run, or of a stack of runs at once."""

    what: str  # the model under the method, for messages
    model: nn.Module
    method: Method
    optimizer: ModelAdam
    options: TrainingOptions
    device: torch.device
    train: Batches
    seed: int | Seeds
    sums: Sums
    passes: Passes
    pace: Pace
    state_file: Path | None
    report: Callable[[str], None]
    clock: Tensor | None = None  # see Step

    def _begin(self, stack: tuple[int, ...] = ()) -> None:
        """Make what steps need, or go on from the checkpoint."""
        self.passes = Passes(self.model)
        rows = self.train.ids.shape[1] * self.options.batch_size * math.prod(stack)
        self.optimizer = ModelAdam(self.model, self.options, rows, stacked=bool(stack))
        self._zero = partial(Sums.zero, len(self.method.candidates), self.device, stack)
        self.sums = self._zero()
        self._saved_at = time.monotonic()
        file = self.state_file
        if file and (saved := checkpoint.load_last(file, self.device, self.report)):
            self.load_state(saved)

    @property
    @abstractmethod
    def progress(self) -> Progress:
        """How far it is; of a stack, the runs that are not over."""

    @property
    @abstractmethod
    def live(self) -> Sequence[Loop]:
        """The runs that are not over."""

    @property
    @abstractmethod
    def finished(self) -> bool:
        """Nothing is left to train."""

    @abstractmethod
    def batch(self, split: str, k: int) -> Batch:
        """The k-th of an endless run of batches of `train` or `validation`, on the device."""

    @abstractmethod
    def close_epoch(self, sums: Sums) -> None:
        """Look at what an epoch has come to, and stop early if that is due."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """All that is needed to go on with the same bits (no generator: seeds are addresses)."""

    @abstractmethod
    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""

    def train_to_the_end(self) -> None:
        """Epochs until all is finished; checkpoints between steps.

        Raises:
            TrainingDivergedError: a loss became infinite or NaN; of a stack, of all its runs.
            StoppedError: a signal asked for it; the checkpoint is written.
        """
        while not self.finished:
            self.run_epoch(self._between_steps)

    def run_epoch(self, between_steps: Callable[[], None] = stop_if_asked) -> None:
        """One pass over the training split, or what is left of it, then one over validation.

        Raises:
            ConfigError: the model or the method draws from torch's, numpy's or Python's generators.
            MethodError: the weights are not what the method's Info says.
        """
        self._started = time.perf_counter()
        done, generators = self.progress, Generators(self.device)
        self.model.train()
        self.method.train()
        first, steps = done.steps % self.train.count, self.train.count
        self.pace.begin("training", done.epoch + 1, first, steps, self.options.batch_size)
        for step in range(first, steps):
            between_steps()
            self.sums.add(*self.inner_step())
            if step == first:
                generators.require_unmoved(self.what, again=self.inner_step)
            self.pace.at(step + 1)
        sums, self.sums = self.sums, self._zero()
        self.optimizer.settle()
        trained = self.live
        self.close_epoch(sums)
        generators.require_unmoved(f"a later step or the evaluation of {self.what}")
        self._count(trained)

    def inner_step(self) -> tuple[Tensor, Tensor]:
        """One update of the DRS: returns the loss (scalar) and the weights, `[n]` or `[B, n]`."""
        loss, weights, outer_steps = self.taken(self.progress.steps)
        for run in self.live:
            run.progress.steps += 1
            run.progress.outer_steps += outer_steps
        return loss, weights

    def taken(self, t: int) -> Taken:
        """What step `t` gives."""
        return self.take(self.step(t))

    def take(self, step: Step) -> Taken:
        """The step itself: loss and weights, and how many outer steps it had.

        Of a stack it is work for the device alone: nothing in it waits for a number, no shape
        depends on one, and what moves from step to step is a tensor.
        """
        outer_steps = int(self.method.before_step(step))
        loss, weights, gradients = step.descent or self.method.descend(step)
        params, own = step.opened.params, self.method.inner_parameters()
        self.optimizer.step(dict(zip(params, gradients, strict=False)))
        for parameter, gradient in zip(own, gradients[len(params) :], strict=True):
            parameter.grad = gradient
        outer_steps += self.method.after_step()
        return loss, weights, outer_steps

    def step(
        self, t: int, batch: Batch | None = None, look: Callable[[int], Batch] | None = None
    ) -> Step:
        """What a method sees of inner step `t`: on `batch`, its validation batches by `look`."""
        return Step(
            t=t,
            model=self.model,
            batch=batch or self.batch("train", t),
            validation=look or partial(self.batch, "validation"),
            lr=self.optimizer.lr,
            seed=self.seed,
            opener=self.optimizer.open,
            advance=self.optimizer.advance,
            clock=self.clock,
        )

    def _count(self, runs: Sequence[Loop]) -> None:
        """Bring passes and seconds up to now, the latter divided among all that train together."""
        forward, backward = self.passes.take()
        now = time.perf_counter()
        for run in runs:
            run.progress.forward_examples += forward
            run.progress.backward_examples += backward
            run.progress.seconds += (now - self._started) / len(runs)
        self._started = now

    def _between_steps(self) -> None:
        """Checkpoint if the last one is old enough, or if it is time to stop."""
        late = time.monotonic() - self._saved_at >= self.options.checkpoint_seconds
        if self.state_file is not None and (late or asked_to_stop()):
            self._count(self.live)
            checkpoint.save_next(self.state(), self.state_file)
            self._saved_at = time.monotonic()
        stop_if_asked()
