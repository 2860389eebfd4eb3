"""What a run and a search cost: epochs, steps, seconds on a device, memory; low, guess and high."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from autoloss.plan.costs import Device, Devices, Estimate, Measured, estimate
from autoloss.plan.sizes import DataSize, data_size
from autoloss.study import Cell, Study

CASES = ("low", "guess", "high")
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
class Training:
    """The costs of a study's runs in one case: of low, the shortest runs on the fastest device.

    Args:
        epochs: epochs of every run in place of those of the table; None: the table's.
    """

    study: Study
    devices: Devices
    measured: Measured
    resources: Resources
    case: int
    epochs: int | None = None

    @cached_property
    def sizes(self) -> dict[str, DataSize]:
        """The data sets by name."""
        names = dict.fromkeys(cell.dataset for cell in self.study.all_cells())
        return {name: data_size(self.study, name) for name in names}

    @cached_property
    def _estimates(self) -> dict[Cell, Estimate]:
        return {}

    def estimate(self, cell: Cell) -> Estimate:
        """The law of a cell."""
        if cell not in self._estimates:
            size = self.sizes[cell.dataset]
            self._estimates[cell] = estimate(self.study, self.measured, cell, size)
        return self._estimates[cell]

    def run_epochs(self, cell: Cell) -> int:
        """Epochs of a run until early stopping, or its limit, ends it."""
        options = self.study.config.training
        if self.epochs is not None:
            return min(self.epochs, options.max_epochs)
        rows = self.sizes[cell.dataset].splits["train"]
        table = next(row for row in self.devices.epochs if row.rows is None or rows <= row.rows)
        return min(table.best[self.case] + options.patience, options.max_epochs)

    def search_epochs(self, cell: Cell) -> int:
        """Epochs of a cell's search, over all trials."""
        budget = self.study.search_budget(cell)
        method = self.study.base(cell.method)
        own = self.study.entry(method).info.searches
        if own and method not in self.devices.searches_by_trial:
            return budget
        return min(budget, self.study.config.tuning.trials * self.run_epochs(cell))

    def run_steps(self, cell: Cell) -> int:
        """Training steps of a run, a refit's among them."""
        epochs = self.run_epochs(cell)
        steps = epochs * self._steps(cell, ("train",))
        return steps + self._refit_epochs(cell) * self._steps(cell, ("train", "validation"))

    def run_examples(self, cell: Cell) -> int:
        """Training examples of a run."""
        return self.run_steps(cell) * self.study.config.training.batch_size

    def search_steps(self, cell: Cell) -> int:
        """Training steps of a search."""
        return self.search_epochs(cell) * self._steps(cell, ("train",))

    def run_seconds(self, cell: Cell) -> float:
        """Seconds of a run on the device, its start and end included."""
        epochs = self.run_epochs(cell) + self._refit_epochs(cell) + EVALUATIONS
        trained = self.run_steps(cell) * self._step_seconds(cell)
        return self.devices.fixed.run + trained + epochs * self._evaluation_seconds(cell)

    def job_seconds(self, cell: Cell, runs: int) -> float:
        """Seconds of a job of so many runs."""
        return self.devices.fixed.train_start + runs * self.run_seconds(cell)

    def search_seconds(self, cell: Cell) -> float:
        """Seconds of a search."""
        epochs = self.search_epochs(cell)
        trained = self.search_steps(cell) * self._step_seconds(cell)
        return self.devices.fixed.train_start + trained + epochs * self._evaluation_seconds(cell)

    def memory_gb(self, cell: Cell) -> float:
        """Memory of a job: its process, the copies of its model, and what is judged at once."""
        size, memory, model = self.sizes[cell.dataset], self.devices.memory, self.study.config.model
        table = size.features * (model.embedding_dim + 1) * FLOAT
        evaluated = max(size.splits["validation"], size.splits["test"])
        outputs = 1 if size.classes == 2 else size.classes
        judged = evaluated * memory.evaluated_bytes * outputs
        order = size.splits["train"] * 8  # an epoch's permutation
        return memory.process + (memory.table_copies * table + judged + order) / 1e9

    def checkpoint_bytes(self, cell: Cell) -> int:
        """Bytes of a run's checkpoint: weights, the best ones and Adam's two means."""
        columns = self.study.config.model.embedding_dim + 1
        return 4 * self.sizes[cell.dataset].features * columns * FLOAT

    def _steps(self, cell: Cell, splits: tuple[str, ...]) -> int:
        batch_size = self.study.config.training.batch_size
        return self.sizes[cell.dataset].batches(splits, batch_size)

    def _refit_epochs(self, cell: Cell) -> int:
        """A refit trains the epochs that were best: all but the patience."""
        if not self.study.entry(cell.method).info.refits:
            return 0
        return max(1, self.run_epochs(cell) - self.study.config.training.patience)

    @property
    def _speed(self) -> float:
        device = self.resources.device
        return (device.high, device.speed, device.low)[self.case]

    @property
    def _crowding(self) -> float:
        """How many times longer a job takes because of those beside it."""
        use = self.resources
        if use.gpus:
            return max(1.0, use.jobs_per_gpu * use.device.busy)
        return use.device.side_by_side if use.cores > 1 else 1.0

    def _step_seconds(self, cell: Cell) -> float:
        law, device = self.estimate(cell).law, self.resources.device
        seconds = law.step(self.study.config.training.batch_size) / self._speed
        return max(seconds, device.fixed_ms / 1e3) * self._crowding

    def _evaluation_seconds(self, cell: Cell) -> float:
        law, device = self.estimate(cell).law, self.resources.device
        example_us = law.evaluated_us / self._speed * self._crowding + device.evaluated_us
        return self.sizes[cell.dataset].splits["validation"] * example_us / 1e6
