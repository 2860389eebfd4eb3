"""The status on a page: groups, running jobs with their last metrics, and what went wrong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from autoloss.plan.page import duration, table

SHOWN = 10  # lines of a list at most


def page(status: dict[str, Any]) -> RenderableType:
    """What `autoloss status` prints of what `scan` says."""
    parts: list[RenderableType] = [
        Text(_headline(status), style="bold"),
        table([_group(group) for group in status["groups"]]),
    ]
    if status["running"]:
        parts += [Text("\nRunning"), _jobs(status["running"])]
    if status["interrupted"]:
        parts += [Text("\nInterrupted: begun, not finished"), _jobs(status["interrupted"])]
    if status["failed"]:
        lines = [f"{run['cell']} seed {run['seed']}: {run['why']}" for run in status["failed"]]
        parts += [Text("\nFailed"), *_some(lines)]
    if status["damaged"]:
        parts += [Text("\nDamaged: delete them, they are made anew"), *_some(status["damaged"])]
    return Group(*parts)


def _headline(status: dict[str, Any]) -> str:
    runs, left = status["runs"], status["hours_left"]
    parts = [f"Study '{status['study']}': {runs['done']:,} of {sum(runs.values()):,} runs done"]
    if status["runs_per_hour"] is not None:
        parts.append(f"{status['runs_per_hour']:,.0f} an hour")
    if left is None:
        parts.append("nothing is running")
    elif left:
        parts.append(f"about {duration(left)} left")
    return ", ".join(parts)


def _group(group: dict[str, Any]) -> dict[str, str]:
    counts = {state: f"{count:,}" if count else "-" for state, count in group["runs"].items()}
    searches = f"{group['searched']}/{group['searches']}" if group["searches"] else ""
    complete = f"{group['complete']}/{group['cells']}"
    return {"runs of": group["group"], "cells": complete, **counts, "searches": searches}


def _job(job: dict[str, Any]) -> dict[str, str]:
    place = "search" if job["seed"] is None else f"seed {job['seed']}"
    return {
        "cell": job["cell"],
        "at": place + ("" if job["epoch"] is None else f", epoch {job['epoch']}"),
        "since": _clock(job["since"]),
        "last sign": f"{duration(job['age'] / 3600)} ago",
        "said": "; ".join(filter(None, (job["said"], job["last"]))),
    }


def _jobs(jobs: Sequence[dict[str, Any]]) -> Table:
    grid = table([_job(job) for job in jobs[:SHOWN]])
    grid.columns[-1].justify, grid.columns[-1].no_wrap = "left", False
    if len(jobs) > SHOWN:
        grid.add_row(f"and {len(jobs) - SHOWN} more")
    return grid


def _clock(since: str) -> str:
    """A moment on this machine's clock."""
    try:
        return f"{datetime.fromisoformat(since).astimezone():%a %H:%M}" if since else ""
    except ValueError:
        return ""


def _some(lines: Sequence[str]) -> list[Text]:
    more = [f"and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return [Text(f"  {line}") for line in (*lines[:SHOWN], *more)]
