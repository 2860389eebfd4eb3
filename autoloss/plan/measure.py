"""A short calibration: a few dozen steps of each distinct cell on random data of its shape.

On a CPU it counts the process's own seconds, which other processes hardly touch. A field's ids are
drawn unevenly, as real ones are: few are frequent, so that a batch reads some rows many times.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch

from autoloss.config import overlay
from autoloss.data.load.batches import Batches
from autoloss.data.load.prepared import PreparedData
from autoloss.data.manifest import FieldStats, Manifest
from autoloss.methods.frozen import save_controller
from autoloss.methods.learned import Parametric
from autoloss.methods.load import load
from autoloss.plan.costs import Law, Measured, Shape, own_costs
from autoloss.plan.sizes import DataSize, data_size
from autoloss.plan.training import cells_of
from autoloss.records.provenance import cpu_name
from autoloss.records.store import write_text
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.training.evaluate import judge, predict
from autoloss.training.loop import EVALUATION_BATCH, Trainer
from autoloss.training.observe import choice

SMALL = 512  # the other batch size, beside the study's (or 2000, if that is the study's)
LARGE = 2000
BLOCKS = 3  # the median of so many means of a block
BLOCK_STEPS = 8  # at least; a block is whole periods between outer steps
EVALUATED = 8 * EVALUATION_BATCH


def measure(
    study: Study, report: Callable[[str], None], cells: Iterable[Cell] | None = None
) -> Path:
    """Measure `cells` (those of `snakemake all`, if left out), write what came out; the file."""
    study = Study(overlay(study.config, {"training": {"threads": 1}}, "measure"), study.root)
    usual, cells = study.config.training.batch_size, list(cells or cells_of(study))
    batch_sizes = (SMALL, usual if usual != SMALL else LARGE)
    sizes = {name: data_size(study, name) for name in dict.fromkeys(c.dataset for c in cells)}
    laws: dict[str, dict[str, dict[str, Law]]] = {}
    for number, cell in enumerate(cells, start=1):
        law = _law(study, cell, sizes[cell.dataset], batch_sizes)
        laws.setdefault(cell.dataset, {}).setdefault(cell.model, {})[cell.method] = law
        report(f"{number}/{len(cells)} {cell}: {law.step(usual) * 1e3:.1f} ms a step of {usual}")
    measured = Measured(
        machine=f"{cpu_name()}, one thread, torch {torch.__version__}",
        date=datetime.now(UTC).date().isoformat(),
        model=study.config.model.model_dump(mode="json"),
        model_of={},
        batch_sizes=batch_sizes,
        shapes={
            name: Shape(fields=size.fields, features=size.features, classes=size.classes)
            for name, size in sizes.items()
        },
        laws=laws,
    )
    return write_text(measured.model_dump_json(indent=1) + "\n", own_costs(study))


def random_data(size: DataSize, rows: dict[str, int]) -> PreparedData:
    """Random ids and labels in memory, with the fields of `size` and `rows` by split."""
    random, total = np.random.default_rng(0), sum(rows.values())
    skewed = random.random((total, size.fields), dtype=np.float32) ** 3
    ids = (skewed * np.asarray(size.field_sizes, dtype=np.float32)).astype(np.int32)
    ids = np.minimum(ids, np.asarray(size.field_sizes, dtype=np.int32) - 1)
    manifest = Manifest.model_construct(
        splits=rows,
        classes=size.classes,
        fields=tuple(
            FieldStats.model_construct(name=f"f{k}", size=n) for k, n in enumerate(size.field_sizes)
        ),
        data_hash="random",
    )
    labels = random.permutation(total).astype(np.int32) % size.classes
    return PreparedData(Path(), manifest, ids, labels)


def _law(study: Study, cell: Cell, size: DataSize, batch_sizes: tuple[int, int]) -> Law:
    with tempfile.TemporaryDirectory() as folder:
        ready = _ready(study, cell, size, Path(folder))
        trainers = [_trainer(ready, cell, size, batch_size) for batch_size in batch_sizes]
        every = int(ready.settings(cell.method)["method"].get("every", 1))
        steps = [_step_seconds(trainer, every) for trainer in trainers]
    low, high = batch_sizes
    slope = max((steps[1] - steps[0]) / (high - low), 0.0)
    if low * slope > steps[0]:  # noise: no negative start
        slope = steps[1] / high
    return Law(
        fixed_ms=round(max(steps[0] - low * slope, 0.0) * 1e3, 3),
        example_us=round(slope * 1e6, 3),
        evaluated_us=round(_evaluated_seconds(trainers[0]) * 1e6, 3),
    )


def _ready(study: Study, cell: Cell, size: DataSize, folder: Path) -> Study:
    """The cell's study with what a search or another run would have given it."""
    if study.entry(cell.method).info.searches:
        n = len(study.config.losses.candidates)
        return study.with_assignment(cell.method, {"method.weights": [1 / n] * n}, "measure")
    source = study.controller_of(cell)
    if source is None:
        return study.varied(cell.method)
    trainer = _trainer(study, Cell(cell.dataset, cell.model, source.method), size, SMALL)
    assert isinstance(trainer.method, Parametric)
    file = folder / "controller.pt"
    save_controller(trainer.method, file)
    return study.with_assignment(cell.method, {"method.controller": str(file)}, "measure")


def _trainer(study: Study, cell: Cell, size: DataSize, batch_size: int) -> Trainer:
    config = overlay(study.config, {"training": {"batch_size": batch_size}}, "measure")
    rows = {"train": 8 * batch_size, "validation": max(EVALUATED, batch_size), "test": 8}
    data, method = random_data(size, rows), load(study.base(cell.method))
    return Trainer(config, data, cell.model, method, seed=0)


def _step_seconds(trainer: Trainer, every: int) -> float:
    """Seconds of a step, its share of outer steps included."""
    block = every * -(-BLOCK_STEPS // every)
    trainer.model.train()
    trainer.method.train()
    for _ in range(every + 1):  # memory is fetched, and every kind of step has been made once
        trainer.inner_step()
    means = []
    for _ in range(BLOCKS):
        started = _now(trainer.device)
        for _ in range(block):
            trainer.inner_step()
        means.append((_now(trainer.device) - started) / block)
    return statistics.median(means)


def _evaluated_seconds(trainer: Trainer) -> float:
    """Seconds of an example at the end of an epoch: predicted, judged, its weights looked at."""
    batches = Batches(*trainer.data.split("validation"), EVALUATION_BATCH, seed=0, name="measure")
    started = _now(trainer.device)
    predicted = predict(trainer.model, batches, trainer.device)
    judge(trainer.task, *predicted)
    choice(trainer.method, *predicted, 0)
    return (_now(trainer.device) - started) / len(predicted[0])


def _now(device: torch.device) -> float:
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()
