"""`autoloss plan`: from its options to what it prints."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from autoloss.arguments import Named, study_of
from autoloss.errors import ConfigError, require_known
from autoloss.study.groups import GROUPS
from autoloss.study.planned import notes

ALL = "all"


def plan(
    target: Annotated[
        str, typer.Argument(help="all, or runs that it does without: regimes, sensitivity, ...")
    ] = ALL,
    scale: Annotated[str | None, typer.Option(help="laptop, smoke or paper.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A configuration, as for snakemake --configfile.")
    ] = None,
    named: Named = None,
    cores: Annotated[int | None, typer.Option(min=1, help="Default: this machine's.")] = None,
    gpus: Annotated[int, typer.Option(min=0, help="0: runs are trained on the cores.")] = 0,
    jobs_per_gpu: Annotated[int, typer.Option(min=1, help="Runs at once on a GPU.")] = 1,
    device: Annotated[str | None, typer.Option(help="A row of configs/devices.yaml.")] = None,
    epochs: Annotated[
        str | None, typer.Option(help="Of a run, in place of the guess: 4, or 3,4,10.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
    measure: Annotated[bool, typer.Option(help="Measure this machine's costs first.")] = False,
    actual: Annotated[bool, typer.Option(help="Say so if there are no runs to compare.")] = False,
) -> None:
    """Say what a study will cost before anything runs: jobs, hours, memory, disk, wall time."""
    from rich.console import Console

    from autoloss.plan.actual import compare
    from autoloss.plan.costs import choose_device, costs_of, load_devices
    from autoloss.plan.estimate import make_plan
    from autoloss.plan.page import show_actual, show_plan, wide
    from autoloss.plan.training import Resources, Training

    study, console = study_of(config, scale, name=named), wide(Console(soft_wrap=True))
    groups = () if target == ALL else (target,)
    require_known(groups, [ALL, *GROUPS], "target", "target")
    for group in groups:
        study.require(group)
    remarks = notes(study)  # reads the claims, too: a wrong name there is said before all else
    devices = load_devices(study.root)
    trains_on = choose_device(devices, device, gpus)
    use = Resources(cores or os.cpu_count() or 1, gpus, jobs_per_gpu, trains_on)
    if measure:
        from autoloss.plan.measure import measure as measure_costs  # the one part with torch

        measure_costs(study, lambda line: typer.echo(line, err=True))
    assumed = _epochs(epochs) if epochs else None
    training = Training(study, devices, costs_of(study), use, assumed, groups)
    planned, taken = make_plan(training), compare(training)
    if as_json:
        console.print_json(json.dumps({"plan": planned, "actual": taken}, default=asdict))
        return
    show_plan(planned, console)
    for note in remarks:
        console.print(f"- {note}", highlight=False, markup=False)
    if taken["runs"]:
        show_actual(taken, console)
    elif actual:
        console.print(f"\nThere are no runs in {study.results}/ to compare with.")


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
