"""The plan on a page: what a cluster's administrator signs, plain enough for a log."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from autoloss.plan.actual import Actual
from autoloss.plan.estimate import Plan, Range

LOG_WIDTH = 140


def wide(console: Console) -> Console:
    """`console`, where it is a log or a pipe wide enough for every column."""
    if not console.is_terminal:
        console.width = max(console.width, LOG_WIDTH)
    return console


def show_plan(plan: Plan, console: Console) -> None:
    """Print the plan."""
    console.print(f"Plan of the study '{plan.study}', from nothing to its report", style="bold")
    console.print(f"{_resources(plan)}\n", highlight=False)
    _show(console, ("", "guess", "from", "to"), _summary(plan))
    _show(
        console,
        ("stage", "jobs", "hours", "from", "to", "longest job", "at most", "memory of a job"),
        (
            (
                stage.stage,
                f"{stage.jobs:,}",
                *map(_hours, (stage.hours.guess, stage.hours.low, stage.hours.high)),
                _hours(stage.longest_job_hours.guess),
                _hours(stage.longest_job_hours.high),
                f"{stage.memory_gb:.1f} GB",
            )
            for stage in plan.stages
        ),
    )
    _show(
        console,
        ("runs of", "cells", "runs"),
        [(group.group, f"{group.cells:,}", f"{group.runs:,}") for group in plan.groups],
    )
    _show(
        console, ("data set", "rows", "fields", "ids", "sizes are", "epochs of a run"), _data(plan)
    )
    _show(console, ("disk and network", "bytes"), _disk(plan))
    console.print("Assumptions")
    for assumption in plan.assumptions:
        console.print(f"- {assumption}", highlight=False, markup=False)


def show_actual(actual: Actual, console: Console) -> None:
    """Print what the runs that there are took, beside what the plan says of them."""
    console.print(
        f"\nEstimate against {actual.runs:,} runs that there are: {_hours(actual.planned_hours)}"
        f" planned, {_hours(actual.actual_hours)} taken, a factor of {actual.factor:.2f};"
        f" memory {actual.planned_memory_gb:.2f} GB planned, {actual.peak_memory_gb:.2f} GB taken",
        highlight=False,
    )
    if actual.damaged:
        console.print(f"{actual.damaged} records could not be read (`autoloss status`).")
    _show(
        console,
        ("method", "runs", "epochs", "planned", "seconds", "planned", "factor"),
        (
            (
                row.method,
                f"{row.runs:,}",
                f"{row.epochs:.1f}",
                f"{row.planned_epochs:.1f}",
                f"{row.seconds:.1f}",
                f"{row.planned_seconds:.1f}",
                f"{row.seconds / row.planned_seconds:.2f}",
            )
            for row in actual.methods
        ),
    )


def _resources(plan: Plan) -> str:
    cores = f"{plan.cores} core" + "s" * (plan.cores > 1)
    if not plan.gpus:
        return f"on {cores}: {plan.device}"
    gpus = f"{plan.gpus} GPU" + "s" * (plan.gpus > 1)
    note = "" if plan.measured else " (NOT measured)"
    return f"on {gpus}, {plan.jobs_per_gpu} jobs on each, and {cores}: {plan.device}{note}"


def _summary(plan: Plan) -> Iterable[tuple[str, ...]]:
    yield _row("wall time", plan.wall_hours)
    yield _row("of it the longest chain", plan.critical_path_hours)
    yield _row("CPU core hours", plan.core_hours, plain=True)
    if plan.gpus:
        yield _row("GPU hours", plan.gpu_hours, plain=True)
    yield ("jobs", f"{plan.jobs:,}", "", "")
    yield ("runs, and searches", f"{plan.runs:,} and {plan.searches:,}", "", "")
    examples = plan.examples
    yield (
        "training examples",
        *(f"{v:.3g}" for v in (examples.guess, examples.low, examples.high)),
    )
    yield ("memory of all jobs at once", f"{plan.memory_gb:.1f} GB", "", "")
    yield ("disk", decimal(plan.disk.total), "", "")
    yield ("downloads", decimal(plan.download_bytes), "", "")


def _row(name: str, value: Range, *, plain: bool = False) -> tuple[str, ...]:
    form = "{:.2f}".format if plain else _hours
    return (name, form(value.guess), form(value.low), form(value.high))


def _data(plan: Plan) -> Iterable[tuple[str, ...]]:
    for size in plan.data:
        epochs = plan.epochs.get(size.name)
        shown = f"{epochs.guess:.0f} ({epochs.low:.0f} to {epochs.high:.0f})" if epochs else ""
        counts = (f"{size.rows:,}", f"{size.fields}", f"{size.features:,}")
        yield (size.name, *counts, size.known, shown)


def _disk(plan: Plan) -> Iterable[tuple[str, ...]]:
    for source in plan.sources:
        size = source.download_bytes
        yield (f"download {source.name}", decimal(size) if size else "a wheel")
    parts = {
        "archives": plan.disk.archives,
        "raw files": plan.disk.raw,
        "prepared arrays": plan.disk.prepared,
        "more while they are prepared": plan.disk.preparing,
        "records": plan.disk.results,
        "checkpoints while jobs run": plan.disk.checkpoints,
    }
    for name, size in parts.items():
        yield (name, decimal(size))


def _hours(hours: float) -> str:
    seconds = hours * 3600
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{hours:,.1f} h"


def _show(console: Console, columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console.print(table, highlight=False)
    console.print()
