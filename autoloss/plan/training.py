"""What a cell's runs and search cost: epochs, steps, seconds on a device, memory.

A number that is not certain is an array of three: low (short runs on a fast device), guess, high.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from autoloss.plan.costs import Device, Devices, Measured, law_of
from autoloss.plan.sizes import DataSize, data_size
from autoloss.study.cell import Cell
from autoloss.study.study import Study

Three = npt.NDArray[np.float64]
FLOAT = 4  # bytes
EVALUATIONS = 2  # at the end of a run: validation and test, with calibration


@dataclass(frozen=True)
class Resources:
    """What a study may use; `device` is what trains."""

    cores: int
    gpus: int
    jobs_per_gpu: int
    device: Device

    @property
    def places(self) -> int:
        """Jobs that may be on GPUs at once."""
        return self.gpus * self.jobs_per_gpu


@dataclass(frozen=True)
class Cost:
    """Of a cell: one of its runs, and its search (zero where there is none).

    `borrowed` says what the costs are taken from where the cell itself was not measured; `start` is
    what a training job takes beside its runs.
    """

    borrowed: str
    start: float
    run_epochs: Three
    run_steps: Three
    run_seconds: Three
    search_epochs: Three
    search_steps: Three
    search_seconds: Three
    memory_gb: float
    checkpoint_bytes: int
    stack: int  # runs that train at once; those of the table are a run's share

    def job_seconds(self, runs: int) -> Three:
        """Seconds of a job of so many runs: a place in a stack that idles takes its share too."""
        return self.start + -(-runs // self.stack) * self.stack * self.run_seconds


@dataclass(frozen=True)
class Training:
    """The costs of a study's training.

    Args:
        epochs: low, guess and high of every run, in place of those of the table.
        groups: whose runs they are; those of `snakemake all` if none is named.
    """

    study: Study
    devices: Devices
    measured: Measured
    resources: Resources
    epochs: tuple[int, int, int] | None = None
    groups: tuple[str, ...] = ()

    @cached_property
    def cells(self) -> list[Cell]:
        """The cells of the groups."""
        return cells_of(self.study, self.groups)

    @cached_property
    def sizes(self) -> dict[str, DataSize]:
        """The data sets by name, those first that others are made of."""
        study, cells = self.study, self.cells if self.groups else self.study.all_cells()
        names = dict.fromkeys(cell.dataset for cell in cells)
        bases = (how.base for name in names if (how := study.dataset(name).derived))
        return {name: data_size(study, name) for name in dict.fromkeys((*bases, *names))}

    def size(self, dataset: str) -> DataSize:
        """Of a data set, be it of the groups or not."""
        return self.sizes.get(dataset) or data_size(self.study, dataset)

    @cached_property
    def costs(self) -> dict[Cell, Cost]:
        """The costs of `cells`."""
        return {cell: self.cost(cell) for cell in self.cells}

    def run_epochs(self, dataset: str) -> Three:
        """Epochs of a run on a data set until early stopping, or its limit, ends it."""
        options = self.study.config.training
        rows = self.size(dataset).splits["train"]
        table = next(row for row in self.devices.epochs if row.rows is None or rows <= row.rows)
        stopped = self.epochs or [best + options.patience for best in table.best]
        return np.minimum(stopped, options.max_epochs).astype(float)

    def cost(self, cell: Cell) -> Cost:
        """What a cell's training takes on the device, the start and end of its jobs included."""
        study, device, fixed = self.study, self.resources.device, self.devices.fixed
        size, options = self.size(cell.dataset), study.config.training
        info = study.entry(cell.method).info
        law, borrowed = law_of(study, self.measured, cell, size)
        speed = np.array([device.high, device.speed, device.low])
        least, alone = device.fixed_ms / 1e3, law.step(options.batch_size) / speed
        # Kernels of a stack do the work of all its runs, and are started once for all.
        step = np.maximum(alone, least / study.stack) * self._crowding
        trial_step = np.maximum(alone, least) * self._crowding
        example_us = law.evaluated_us / speed * self._crowding + device.evaluated_us
        evaluation = size.splits["validation"] * example_us / 1e6

        epochs, batches = self.run_epochs(cell.dataset), size.batches(["train"], options.batch_size)
        # A refit trains the epochs that were best: all but the patience.
        refit = np.maximum(1, epochs - options.patience) * info.refits
        steps = epochs * batches
        steps += refit * size.batches(["train", "validation"], options.batch_size)
        seconds = fixed.run + steps * step + (epochs + refit + EVALUATIONS) * evaluation

        budget, trials = study.search_budget(cell), study.config.tuning.trials
        by_trial = study.base(cell.method) in self.devices.searches_by_trial
        trained = np.full(3, np.inf) if info.searches and not by_trial else trials * epochs
        searched = np.minimum(budget, trained)
        search_seconds = searched * (batches * trial_step + evaluation)
        return Cost(
            borrowed=borrowed,
            start=fixed.train_start,
            run_epochs=epochs,
            run_steps=steps,
            run_seconds=seconds,
            search_epochs=searched,
            search_steps=searched * batches,
            search_seconds=search_seconds + fixed.train_start * bool(budget),
            memory_gb=self._memory_gb(size),
            # weights, the best ones, Adam's two, of all runs that train together
            checkpoint_bytes=4 * self._table_bytes(size) * study.stack,
            stack=study.stack,
        )

    @property
    def _crowding(self) -> float:
        """How many times longer a job takes because of those beside it."""
        use = self.resources
        if use.gpus:
            return max(1.0, use.jobs_per_gpu * use.device.busy)
        return use.device.side_by_side if use.cores > 1 else 1.0

    def _table_bytes(self, size: DataSize) -> int:
        return size.features * (self.study.config.model.embedding_dim + 1) * FLOAT

    def _memory_gb(self, size: DataSize) -> float:
        """Memory of a job: its process, the copies of its model, and what is judged at once."""
        memory, outputs = self.devices.memory, 1 if size.classes == 2 else size.classes
        evaluated = max(size.splits["validation"], size.splits["test"])
        judged = evaluated * memory.evaluated_bytes * outputs
        order = size.splits["train"] * 8 * self.study.stack  # an epoch's permutation
        copies = memory.table_copies * self._table_bytes(size) * self.study.stack
        return memory.process + (copies + judged + order) / 1e9


def cells_of(study: Study, groups: Sequence[str] = ()) -> list[Cell]:
    """The cells of groups, of `snakemake all` if none is named, each once; those of controllers
    that others take among them."""
    named = groups or study.reported_groups()
    cells = [cell for group in named for cell in study.cells(group)]
    sources = [source for cell in cells if (source := study.controller_of(cell))]
    return list(dict.fromkeys([*cells, *sources]))
