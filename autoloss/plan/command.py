"""`autoloss plan`: from its options to what it prints."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from autoloss.errors import ConfigError, UserError
from autoloss.plan.actual import compare
from autoloss.plan.costs import (
    COSTS,
    Measured,
    choose_device,
    load_costs,
    load_devices,
    own_costs,
)
from autoloss.plan.estimate import make_plan
from autoloss.plan.jobs import cells_of
from autoloss.plan.page import show_actual, show_plan
from autoloss.plan.training import Resources, Training
from autoloss.study import Study


@dataclass(frozen=True)
class Options:
    """What the user asks; None: not said."""

    scale: str | None = None
    config: Path | None = None
    cores: int | None = None
    gpus: int = 0
    jobs_per_gpu: int = 1
    device: str | None = None
    epochs: str | None = None
    as_json: bool = False
    measure: bool = False
    actual: bool = False


def run(options: Options, console: Console, root: Path = Path()) -> None:
    """Print the plan that `options` ask for, and beside it what runs took, if there are any."""
    study, devices = study_of(options.scale, options.config, root), load_devices(root)
    cores = options.cores or os.cpu_count() or 1
    device = choose_device(devices, options.device, options.gpus)
    use = Resources(cores, options.gpus, options.jobs_per_gpu, device)
    measured = _measure(study) if options.measure else costs_of(study)
    epochs = _epochs(options.epochs) if options.epochs else None
    plan = make_plan(study, devices, measured, use, epochs=epochs)
    training = Training(study, devices, measured, use, 1, epochs[1] if epochs else None)
    actual = compare(training)
    if options.as_json:
        both = {"plan": plan.model_dump(mode="json"), "actual": actual.model_dump(mode="json")}
        console.print_json(json.dumps(both))
        return
    show_plan(plan, console)
    for note in study.notes:
        console.print(f"- {note}", highlight=False, markup=False)
    if actual.runs:
        show_actual(actual, console)
    elif options.actual:
        console.print(f"\nThere are no runs in {study.results}/ to compare with.")


def study_of(scale: str | None, config: Path | None, root: Path) -> Study:
    """The study of a scale, of a user's configuration file, or of a resolved one.

    Raises:
        ConfigError: both are given, or the file is no configuration.
    """
    if config is not None and scale is not None:
        raise ConfigError("--scale", "is given beside --config", "leave out one of them")
    files, arguments = [config] if config else [], [f"scale={scale}"] if scale else []
    return Study.planned(files, arguments, root)


def costs_of(study: Study) -> Measured:
    """Costs measured on this machine for this study, or the committed ones."""
    own = own_costs(study)
    if own.exists():
        try:
            return load_costs(own)
        except UserError:
            pass  # of another version: the committed ones do
    return load_costs(study.root / COSTS)


def _measure(study: Study) -> Measured:
    """Measure this machine: the only part of a plan that needs torch."""
    from autoloss.plan.measure import measure
    from autoloss.plan.sizes import data_size

    cells, stderr = cells_of(study), Console(stderr=True, highlight=False)
    sizes = {name: data_size(study, name) for name in dict.fromkeys(c.dataset for c in cells)}
    return load_costs(measure(study, cells, sizes, stderr.print))


def _epochs(text: str) -> tuple[int, int, int]:
    """`4`, or `3,4,10`: low, guess and high."""
    try:
        numbers = sorted(map(int, text.split(",")))
        low, guess, high = numbers * 3 if len(numbers) == 1 else numbers
    except ValueError:
        raise ConfigError("--epochs", f"is '{text}'", "give one number or 3,4,10") from None
    if low < 1:
        raise ConfigError("--epochs", f"is '{text}'", "a run has at least one epoch")
    return low, guess, high
