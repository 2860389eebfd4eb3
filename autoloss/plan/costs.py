"""Measured costs, and what they say of a cell: seconds of a step, of an evaluated example, bytes.

seconds of a step = fixed + example x batch size, from two batch sizes measured on one machine. A
cell that was not measured takes those of the nearest one that was, and the plan says so.
"""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from socket import gethostname
from typing import Literal

from autoloss.errors import ConfigError, UserError, did_you_mean
from autoloss.methods.options import lineage
from autoloss.plan.sizes import DataSize
from autoloss.strict import Strict, load_yaml
from autoloss.study.cell import Cell
from autoloss.study.study import Study

COSTS = Path("configs") / "costs.yaml"
DEVICES = Path("configs") / "devices.yaml"
PLAIN = "ce"  # the method that others are compared with
USUAL = 1000  # examples of the step in which methods are compared


class Law(Strict):
    """Of a cell: milliseconds of a step whatever its size, and microseconds an example."""

    fixed_ms: float
    example_us: float
    evaluated_us: float

    def step(self, batch_size: int) -> float:
        """Seconds of a training step."""
        return self.fixed_ms / 1e3 + batch_size * self.example_us / 1e6

    def times(self, fixed: float, example: float, evaluated: float) -> Law:
        """Each of its parts that many times."""
        return Law(
            fixed_ms=self.fixed_ms * fixed,
            example_us=self.example_us * example,
            evaluated_us=self.evaluated_us * evaluated,
        )


class Shape(Strict):
    """What of a data set its costs depend on."""

    fields: int
    features: int
    classes: int


class Measured(Strict):
    """Costs of one machine. `laws`: data set -> model -> method -> law.

    `model`: sizes that were measured; `model_of`: those that a data set's have otherwise.
    """

    machine: str
    date: str
    model: dict[str, object]
    model_of: dict[str, dict[str, object]]
    batch_sizes: tuple[int, int]
    shapes: dict[str, Shape]
    laws: dict[str, dict[str, dict[str, Law]]]


class Fixed(Strict):
    """Seconds of jobs that train nothing, measured on the reference machine; see devices.yaml."""

    train_start: float
    run: float
    analyse: float
    analyse_per_run: float
    table: float
    figure: float
    report: float
    prepare_start: float
    read_per_value: float
    prepare_per_value: float
    workflow_start: float
    per_job: float


class Memory(Strict):
    """Gigabytes of a training process, and of preparation a row; see devices.yaml."""

    process: float
    table_copies: float
    evaluated_bytes: float
    prepare: float
    prepare_per_million_rows: float


class Device(Strict):
    """Something to train on. `speed`: how many times faster than the reference machine's core
    (guess, and from low to high); `fixed_ms`: the least that a step takes, whatever its size;
    `evaluated_us`: what an evaluated example costs on the CPU beside it. `busy`: share of a GPU
    that one job keeps busy, so that 1 / busy jobs fit without loss. `side_by_side`: how much
    longer a job takes beside others on more than one core.
    """

    title: str
    kind: Literal["cpu", "gpu"]
    measured: bool
    source: str
    speed: float
    low: float
    high: float
    fixed_ms: float = 0.0
    evaluated_us: float = 0.0
    busy: float = 1.0
    side_by_side: float = 1.0


class Epochs(Strict):
    """In which epoch a run is best: low, guess, high. By training rows, up to `rows`."""

    rows: int | None
    best: tuple[int, int, int]


class Devices(Strict):
    """`configs/devices.yaml`: devices, and the numbers that are the same for all of them."""

    devices: dict[str, Device]
    fixed: Fixed
    memory: Memory
    epochs: tuple[Epochs, ...]
    searches_by_trial: tuple[str, ...]
    download_mb_per_s: float
    record_kb: float


def load_devices(root: Path) -> Devices:
    """The table of devices of the project at `root`."""
    return load_yaml(root / DEVICES, Devices)


def load_costs(file: Path) -> Measured:
    """A table of measured costs, committed or written by `--measure`."""
    return load_yaml(file, Measured)


def own_costs(study: Study) -> Path:
    """Where the costs that were measured on this machine, for this study, are kept."""
    return Path("results") / ".cost" / f"{gethostname()}-{study.name}.json"


def costs_of(study: Study) -> Measured:
    """Costs measured on this machine for this study, or the committed ones."""
    if own_costs(study).exists():
        with suppress(UserError):  # of another version: the committed ones do
            return load_costs(own_costs(study))
    return load_costs(study.root / COSTS)


def choose_device(devices: Devices, name: str | None, gpus: int) -> Device:
    """The device `name`; left out, the GPU row if GPUs are given, else the reference CPU.

    Raises:
        ConfigError: there is none of this name, or it is a CPU and GPUs are given.
    """
    kind = "gpu" if gpus else "cpu"
    if name is None:
        return next(device for device in devices.devices.values() if device.kind == kind)
    if name not in devices.devices:
        raise ConfigError(
            "--device", f"no device is called '{name}'", did_you_mean(name, devices.devices)
        )
    device = devices.devices[name]
    if device.kind != kind:
        mend = "give --gpus, how many there are" if device.kind == "gpu" else "leave out --gpus"
        raise ConfigError("--device", f"'{name}' is a {device.kind.upper()}", mend)
    return device


def law_of(study: Study, measured: Measured, cell: Cell, size: DataSize) -> tuple[Law, str]:
    """A cell's law as measured, or the nearest; and what it is borrowed from, or nothing."""

    def distance(name: str) -> tuple[bool, bool, float, float]:
        shape = measured.shapes[name]
        fields = abs(math.log(shape.fields / size.fields))
        features = abs(math.log(shape.features / size.features))
        return name != size.name, (shape.classes > 2) != (size.classes > 2), fields, features

    def dearest(model: str) -> float:
        return max(law.example_us for law in models[model].values())

    dataset = min(measured.laws, key=distance)
    models, shape = measured.laws[dataset], measured.shapes[dataset]
    model = cell.model if cell.model in models else max(models, key=dearest)
    law, borrowed = _law_of_method(study, measured, models[model], cell.method)
    notes = [borrowed] if borrowed else []
    if model != cell.model:
        notes.append(f"model {model}")
    if (shape.fields, shape.classes) != (size.fields, size.classes):
        wider = size.fields / shape.fields
        law = law.times(1.0, wider, wider)
        notes.append(f"data of {dataset}, by number of fields")
    return law, ", ".join(notes)


def _law_of_method(
    study: Study, measured: Measured, here: dict[str, Law], method: str
) -> tuple[Law, str]:
    """The method's law `here`, or with another cell's ratio to cross-entropy, or the dearest."""
    if method in here:
        return here[method], ""
    plain = here.get(PLAIN, next(iter(here.values())))
    for name in (method, *lineage(study.base(method), study.methods)):
        for there in (laws for models in measured.laws.values() for laws in models.values()):
            if {name, PLAIN} <= there.keys():
                step = there[name].step(USUAL) / there[PLAIN].step(USUAL)
                evaluated = there[name].evaluated_us / there[PLAIN].evaluated_us
                return plain.times(step, step, evaluated), f"method {name} elsewhere"
    known = {name: study.methods.get(study.base(name)) for name in here}
    learns_on = study.entry(method).info.learns_on
    alike = [name for name, entry in known.items() if entry and entry.info.learns_on == learns_on]
    name = max(alike or here, key=lambda name: here[name].step(USUAL))
    return here[name], f"method {name}"
