"""The plan on a page: what a cluster's administrator signs, plain enough for a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from autoloss.plan.estimate import Range

LOG_WIDTH = 140
SUMMARY = {  # fields of a plan, and what the page calls them
    "wall_hours": "wall time",
    "critical_path_hours": "of it the longest chain",
    "core_hours": "CPU core hours",
    "gpu_hours": "GPU hours",
    "jobs": "jobs",
    "runs": "runs",
    "searches": "searches",
    "examples": "training examples",
    "memory_gb": "memory of all jobs at once",
    "disk_bytes": "disk",
    "download_bytes": "downloads",
}


def wide(console: Console) -> Console:
    """`console`, where it is a log or a pipe wide enough for every column."""
    if not console.is_terminal:
        console.width = max(console.width, LOG_WIDTH)
    return console


def show_plan(plan: Mapping[str, Any], console: Console) -> None:
    """Print what `make_plan` says."""
    to = plan["target"] or "its report"
    console.print(f"Plan of the study '{plan['study']}', from nothing to {to}", style="bold")
    gpus = f"{plan['gpus']} GPUs, {plan['jobs_per_gpu']} jobs on each, and " * (plan["gpus"] > 0)
    gpus += f"{plan['stack']} seeds at once in a job, " * (plan["stack"] > 1)
    note = "" if plan["measured"] else " (NOT measured)"
    console.print(f"on {gpus}{plan['cores']} cores: {plan['device']}{note}\n", highlight=False)
    fields = [field for field in SUMMARY if plan["gpus"] or field != "gpu_hours"]
    texts = {SUMMARY[field]: shown_as(field, plan[field]) for field in fields}
    summary = [{"": label, "guess (low to high)": text} for label, text in texts.items()]
    for rows in (summary, plan["stages"], plan["groups"], plan["data"], _disk(plan)):
        console.print(table(rows), "", highlight=False, sep="\n")
    console.print("Assumptions")
    for assumption in plan["assumptions"]:
        console.print(f"- {assumption}", highlight=False, markup=False)


def show_actual(actual: Mapping[str, Any], console: Console) -> None:
    """Print what `compare` says: what the runs that there are took, beside the plan's guess."""
    planned, taken = actual["planned_hours"], actual["actual_hours"]
    factor = _factor(taken * 3600, planned * 3600)
    console.print(
        f"\nEstimate against {actual['runs']:,} runs that there are: {duration(planned)} planned,"
        f" {duration(taken)} taken{factor and f', a factor of {factor}'};"
        f" memory {actual['planned_memory_gb']:.2f} GB planned,"
        f" {actual['peak_memory_gb']:.2f} GB taken",
        highlight=False,
    )
    if actual["damaged"]:
        console.print(f"{actual['damaged']} records could not be read (`autoloss status`).")
    rows = actual["methods"]
    factors = [_factor(row["seconds"], row["planned_seconds"]) for row in rows]
    rows = [{**row, "factor": factor} for row, factor in zip(rows, factors, strict=True)]
    console.print(table(rows))


def _factor(taken: float, planned: float) -> str:
    """How many times as long it took; nothing where less than a second was planned."""
    return f"{taken / planned:.2f}" if planned >= 1 else ""


def _disk(plan: Mapping[str, Any]) -> list[dict[str, str]]:
    parts = {f"download {name}": size for name, size in plan["downloads"].items()} | plan["disk"]
    sizes = {name: "a wheel" if size is None else decimal(size) for name, size in parts.items()}
    return [{"disk and network": name.replace("_", " "), "": size} for name, size in sizes.items()]


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """A table without lines: a column a key, numbers in the unit that the key ends with."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(rows[0] if rows else ()):
        label = name.removesuffix("_hours").removesuffix("_gb").replace("_", " ")
        grid.add_column(label, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        grid.add_row(*(shown_as(name, value) for name, value in row.items()))
    return grid


def shown_as(name: str, value: Any) -> str:
    """A value of that name: in hours, gigabytes or bytes, or as it is."""
    if isinstance(value, Range):
        low, guess, high = (shown_as(name, part) for part in (value.low, value.guess, value.high))
        return guess if low == high else f"{guess} ({low} to {high})"
    if isinstance(value, str):
        return value
    if name in ("core_hours", "gpu_hours"):
        return f"{value:,.2f}"
    if name.endswith("hours"):
        return duration(value)
    if name.endswith("gb"):
        return f"{value:.1f} GB"
    if name.endswith("bytes"):
        return decimal(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.1f}" if value < 1000 else f"{value:.3g}"


def duration(hours: float) -> str:
    """Hours in the unit that reads best."""
    seconds = hours * 3600
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{hours:,.1f} h"
