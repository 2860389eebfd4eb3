"""A simulated schedule: jobs by priority over cores and GPU places, as Snakemake runs them.

List scheduling (Graham, 1969): whenever something is free, the ready job of the highest priority
that fits starts, the first of equals. O(n log n): a hundred thousand jobs take about a second.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Job:
    """A job: seconds, the cores and GPU places that it holds, and the jobs before it, by number."""

    name: str
    stage: str
    seconds: float
    needs: tuple[int, ...] = ()
    priority: int = 0
    cores: int = 1
    places: int = 0


@dataclass(frozen=True)
class Schedule:
    """When each job starts, in order of jobs, and when the last one ends."""

    starts: tuple[float, ...]
    makespan: float


def schedule(jobs: Sequence[Job], cores: int, places: int = 0) -> Schedule:
    """The schedule of `jobs` over `cores` and `places`.

    A job that asks for more than there is gets what there is, as Snakemake caps it.

    Raises:
        ValueError: the jobs wait for each other in a circle, or there is no core.
    """
    if cores < 1:
        raise ValueError("at least one core")
    waits = [len(job.needs) for job in jobs]
    after: dict[int, list[int]] = defaultdict(list)
    for number, job in enumerate(jobs):
        for needed in job.needs:
            after[needed].append(number)
    ready: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)  # by what they ask
    asks = [(min(job.cores, cores), min(job.places, places)) for job in jobs]

    def make_ready(number: int) -> None:
        heapq.heappush(ready[asks[number]], (-jobs[number].priority, number))

    for number, waiting in enumerate(waits):
        if not waiting:
            make_ready(number)
    starts, running, now = [0.0] * len(jobs), list[tuple[float, int]](), 0.0
    free, done = [cores, places], 0
    while True:
        while (ask := _next(ready, free)) is not None:
            _, number = heapq.heappop(ready[ask])
            starts[number] = now
            heapq.heappush(running, (now + jobs[number].seconds, number))
            free = [free[0] - ask[0], free[1] - ask[1]]
        if not running:
            break
        now, number = heapq.heappop(running)
        free = [free[0] + asks[number][0], free[1] + asks[number][1]]
        done += 1
        for follower in after[number]:
            waits[follower] -= 1
            if not waits[follower]:
                make_ready(follower)
    if done < len(jobs):
        raise ValueError("jobs wait for each other in a circle")
    return Schedule(tuple(starts), now)


def _next(
    ready: dict[tuple[int, int], list[tuple[int, int]]], free: list[int]
) -> tuple[int, int] | None:
    """What the first ready job that fits asks for."""
    fitting = [
        (queue[0], ask)
        for ask, queue in ready.items()
        if queue and ask[0] <= free[0] and ask[1] <= free[1]
    ]
    return min(fitting)[1] if fitting else None


def critical_path(jobs: Sequence[Job]) -> float:
    """Seconds of the longest chain of jobs; jobs come after those that they need."""
    ends: list[float] = []
    for job in jobs:
        ends.append(job.seconds + max((ends[needed] for needed in job.needs), default=0.0))
    return max(ends, default=0.0)
