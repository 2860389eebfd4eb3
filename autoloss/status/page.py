"""The status on a page: groups, running jobs with their last metrics, and what went wrong."""

from __future__ import annotations

from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autoloss.status.cells import STATES
from autoloss.status.logs import Job
from autoloss.status.scan import Status

SHOWN = 10  # lines of a list at most
COLOURS = {"running": "cyan", "failed": "red", "damaged": "red", "stale": "yellow"}


def page(status: Status) -> RenderableType:
    """What `autoloss status` prints."""
    parts: list[RenderableType] = [Text(_headline(status), style="bold"), _groups(status)]
    if status.running:
        parts += [Text("\nRunning"), _jobs(status.running)]
    if status.interrupted:
        parts += [
            Text("\nInterrupted: begun, not finished, no sign of life"),
            _jobs(status.interrupted),
        ]
    if status.failed:
        lines = [f"{run.cell} seed {run.seed}: {run.why}" for run in status.failed]
        parts += [Text("\nFailed"), *_some(lines)]
    if status.damaged:
        parts += [Text("\nDamaged: delete them, they are made anew"), *_some(status.damaged)]
    return Group(*parts)


def _headline(status: Status) -> str:
    total = sum(status.runs.values())
    parts = [f"Study '{status.study}': {status.runs['done']:,} of {total:,} runs done"]
    if status.runs_per_hour is not None:
        parts.append(f"{status.runs_per_hour:,.0f} an hour")
    if status.hours_left is None:
        parts.append("nothing is running")
    elif status.hours_left:
        parts.append(f"about {_hours(status.hours_left)} left")
    return ", ".join(parts)


def _groups(status: Status) -> Table:
    table = _table("runs of", "cells", *STATES, "searches")
    for group in status.groups:
        searches = f"{group.searched}/{group.searches}" if group.searches else ""
        counts = [_count(name, group.runs[name]) for name in STATES]
        table.add_row(group.group, f"{group.complete}/{group.cells}", *counts, searches)
    return table


def _count(state: str, count: int) -> Text:
    return Text(f"{count:,}" if count else "-", style=COLOURS.get(state, "") if count else "dim")


def _jobs(jobs: tuple[Job, ...]) -> Table:
    table = _table("cell", "job", "at", "since", "last sign", "said")
    table.columns[-1].justify = "left"
    table.columns[-1].no_wrap = False
    for job in jobs[:SHOWN]:
        seeds = f"seeds {job.seeds[0]}-{job.seeds[1]}" if job.seeds else "search"
        where = f"seed {job.seed}, epoch {job.epoch}" if job.seed is not None else ""
        ago = f"{_hours(job.age / 3600)} ago"
        table.add_row(job.cell, seeds, where, _clock(job.since), ago, Text(job.said))
    if len(jobs) > SHOWN:
        table.add_row(f"and {len(jobs) - SHOWN} more")
    return table


def _clock(since: str) -> str:
    """A moment on this machine's clock."""
    try:
        return f"{datetime.fromisoformat(since).astimezone():%a %H:%M}" if since else ""
    except ValueError:
        return ""


def _some(lines: list[str] | tuple[str, ...]) -> list[Text]:
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return [Text(f"  {line}") for line in (*lines[:SHOWN], *more)]


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    return table


def _hours(hours: float) -> str:
    seconds = hours * 3600
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{hours:,.1f} h"
