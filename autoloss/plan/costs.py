"""Measured costs, and what they say of a cell: seconds of a step, of an evaluated example, bytes.

seconds of a step = fixed + example x batch size, from two batch sizes measured on one machine. A
cell that was not measured takes those of the nearest one that was, and the plan says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from typing import Literal

from autoloss.errors import ConfigError, did_you_mean
from autoloss.plan.sizes import DataSize
from autoloss.strict import Strict, load_yaml
from autoloss.study import Cell, Study

COSTS = Path("configs") / "costs.yaml"
DEVICES = Path("configs") / "devices.yaml"
PLAIN = "ce"  # the method that others are compared with


class Law(Strict):
    """Of a cell: milliseconds of a step whatever its size, and microseconds an example."""

    fixed_ms: float
    example_us: float
    evaluated_us: float

    def step(self, batch_size: int) -> float:
        """Seconds of a training step."""
        return self.fixed_ms / 1e3 + batch_size * self.example_us / 1e6


class Shape(Strict):
    """What of a data set its costs depend on."""

    fields: int
    features: int
    classes: int


class Measured(Strict):
    """Costs of one machine. `laws`: data set -> model -> method -> law."""

    machine: str
    date: str
    model: dict[str, object]
    batch_sizes: tuple[int, int]
    shapes: dict[str, Shape]
    laws: dict[str, dict[str, dict[str, Law]]]


class Fixed(Strict):
    """Seconds of jobs that train nothing, measured on the reference machine; see devices.yaml."""

    train_start: float
    run: float
    index: float
    index_per_run: float
    analyse: float
    figure: float
    report: float
    prepare_start: float
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


@dataclass(frozen=True)
class Estimate:
    """A cell's law, and why it is not its own (empty if it is)."""

    law: Law
    borrowed: str = ""


def own_costs(study: Study) -> Path:
    """Where the costs that were measured on this machine, for this study, are kept."""
    return Path("results") / ".cost" / f"{gethostname()}-{study.name}.json"


def load_devices(root: Path) -> Devices:
    """The table of devices of the project at `root`."""
    return load_yaml(root / DEVICES, Devices)


def load_costs(file: Path) -> Measured:
    """A table of measured costs, committed or written by `--measure`."""
    return load_yaml(file, Measured)


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


def estimate(study: Study, measured: Measured, cell: Cell, size: DataSize) -> Estimate:
    """What a cell costs: as measured, or as the nearest that was."""
    dataset = _nearest(measured, size)
    models = measured.laws[dataset]
    model = cell.model if cell.model in models else _dearest_model(models)
    law, instead = _of_method(study, measured, dataset, model, cell.method)
    shape = measured.shapes[dataset]
    notes = [] if not instead else [instead]
    if model != cell.model:
        notes.append(f"model {model}")
    if (shape.fields, shape.classes) != (size.fields, size.classes):
        wider = size.fields / shape.fields
        law = law.model_copy(
            update={key: getattr(law, key) * wider for key in ("example_us", "evaluated_us")}
        )
        notes.append(f"data of {dataset}, by number of fields")
    return Estimate(law, ", ".join(notes))


def _nearest(measured: Measured, size: DataSize) -> str:
    def distance(name: str) -> tuple[bool, bool, float, float]:
        shape = measured.shapes[name]
        fields = abs(math.log(shape.fields / size.fields))
        features = abs(math.log(shape.features / size.features))
        return name != size.name, (shape.classes > 2) != (size.classes > 2), fields, features

    return min(measured.laws, key=distance)


def _dearest_model(models: dict[str, dict[str, Law]]) -> str:
    return max(models, key=lambda name: max(law.example_us for law in models[name].values()))


def _of_method(
    study: Study, measured: Measured, dataset: str, model: str, method: str
) -> tuple[Law, str]:
    """The method's law here, or with another cell's ratio to cross-entropy, or the dearest."""
    here = measured.laws[dataset][model]
    if method in here:
        return here[method], ""
    base = study.base(method)
    plain = here.get(PLAIN, next(iter(here.values())))
    for name in (method, base):
        for there in (m for models in measured.laws.values() for m in models.values()):
            if name in there and PLAIN in there:
                return _scaled(plain, there[name], there[PLAIN]), f"method {name} elsewhere"
    entry = study.entry(method).info
    alike = [name for name in here if _learns_on(study, name) == entry.learns_on] or list(here)
    name = max(alike, key=lambda m: here[m].step(max(measured.batch_sizes)))
    return here[name], f"method {name}"


def _scaled(plain: Law, other: Law, of: Law) -> Law:
    """`plain` times what `other` takes of a large batch, relative to the plain method there."""
    ratio = other.step(1000) / of.step(1000)
    return Law(
        fixed_ms=plain.fixed_ms * ratio,
        example_us=plain.example_us * ratio,
        evaluated_us=plain.evaluated_us * other.evaluated_us / of.evaluated_us,
    )


def _learns_on(study: Study, method: str) -> str:
    base = study.base(method)
    return study.methods[base].info.learns_on if base in study.methods else ""
