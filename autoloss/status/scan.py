"""The status of a study: groups, running jobs, rate and time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from autoloss.errors import UserError
from autoloss.plan.costs import choose_device, load_devices
from autoloss.plan.jobs import cells_of
from autoloss.plan.training import Resources, Training
from autoloss.registry import FULL, GROUPS
from autoloss.status.cells import STATES, CellState, data_hashes, read_cell
from autoloss.status.live import live_jobs, with_live
from autoloss.status.logs import Job, unfinished_jobs
from autoloss.strict import Strict
from autoloss.study import Cell, Study

FRESH = 180.0  # seconds without a sign in which a job is taken to run; longer where epochs are
EPOCHS = 3  # so many of its epochs
WINDOW = 3600.0  # seconds over which the rate is taken


class Group(Strict):
    """A table or figure: complete cells of all, runs by state, searches done of all."""

    group: str
    cells: int
    complete: int
    runs: dict[str, int]
    searches: int
    searched: int


class Failed(Strict):
    """A run that failed, and why."""

    cell: str
    seed: int
    why: str


class Status(Strict):
    """How far a study is. Hours are None where they cannot be told."""

    study: str
    groups: tuple[Group, ...]
    runs: dict[str, int]
    running: tuple[Job, ...]
    interrupted: tuple[Job, ...]
    failed: tuple[Failed, ...]
    damaged: tuple[str, ...]
    runs_per_hour: float | None
    hours_left: float | None


@dataclass(frozen=True)
class _Weights:
    """What a cell's run (with its share of a job's start) and search take by the plan."""

    run: Callable[[Cell], float]
    search: Callable[[Cell], float]
    epochs: Callable[[Cell], int]

    def epoch(self, cell: Cell) -> float:
        return self.run(cell) / self.epochs(cell)


def scan(study: Study, *, now: float | None = None, fresh: float | None = None) -> Status:
    """The status of the study's files in the current folder.

    Args:
        now: the time to judge by, for tests; None: the clock's.
        fresh: seconds in which a job must have written to be running; None: three minutes, or
            three epochs if they are longer.
    """
    now = time.time() if now is None else now
    groups = _groups(study)
    cells = list(dict.fromkeys([*cells_of(study), *(c for g in groups for c in study.cells(g))]))
    weights, hashes = _weights(study), data_hashes(study, cells)
    states = {cell: read_cell(study, cell, hashes[cell.dataset]) for cell in cells}
    jobs = unfinished_jobs(
        study,
        cells,
        now,
        lambda cell: fresh if fresh is not None else max(FRESH, EPOCHS * weights.epoch(cell)),
    )
    jobs = with_live(jobs, live_jobs(study, now, FRESH if fresh is None else fresh))
    _mark_running(states, [job for job in jobs if job.running])
    rate, left = _progress(states, jobs, weights, now)
    return Status(
        study=study.name,
        groups=tuple(_group(name, [states[c] for c in study.cells(name)]) for name in groups),
        runs=_counted(states.values()),
        running=tuple(job for job in jobs if job.running),
        interrupted=tuple(job for job in jobs if not job.running),
        failed=tuple(
            Failed(cell=str(cell), seed=seed, why=why)
            for cell, state in states.items()
            for seed, why in state.failures.items()
        ),
        damaged=tuple(str(file) for state in states.values() for file in state.damaged),
        runs_per_hour=rate,
        hours_left=left,
    )


def _groups(study: Study) -> list[str]:
    """The groups of `snakemake all`, and others of which there is a cell that those lack."""
    usual, known = study.reported_groups(), set(cells_of(study))
    others = [
        group
        for group in GROUPS
        if group not in usual
        and any(c not in known and study.cell_folder(c).exists() for c in study.cells(group))
    ]
    if FULL in others and "controls" in others:  # it has the controls' methods too
        more = {*known, *study.cells("controls")}
        if not any(c not in more and study.cell_folder(c).exists() for c in study.cells(FULL)):
            others.remove(FULL)
    return [*usual, *others]


def _mark_running(states: dict[Cell, CellState], running: list[Job]) -> None:
    """The first run of a running job that is not made yet is the one it is at."""
    by_name = {str(cell): state for cell, state in states.items()}
    for job in running:
        state = by_name.get(job.cell)
        if state is None:
            continue  # by hand, in none of the study's tables
        if job.seeds is None:
            state.search = "running"
            continue
        for seed in range(job.seeds[0], job.seeds[1] + 1):
            if state.runs.get(seed) in ("missing", "stale", "damaged"):
                state.runs[seed] = "running"
                break


def _progress(
    states: dict[Cell, CellState], jobs: list[Job], weights: _Weights, now: float
) -> tuple[float | None, float | None]:
    """Runs an hour, and hours left at the speed of the last hour, weighed by the plan's costs.

    Failed runs are not repeated by themselves, so they do not count as left.
    """
    made = sorted(
        (written, weights.run(cell))
        for cell, state in states.items()
        for seed, written in state.written.items()
        if state.runs[seed] in ("done", "failed") and now - WINDOW <= written <= now
    )
    searched = [
        (state.searched, weights.search(cell))
        for cell, state in states.items()
        if state.search == "done" and now - WINDOW <= state.searched <= now
    ]
    left = sum(
        weights.run(cell) * sum(state.counts[s] for s in ("running", "stale", "damaged", "missing"))
        + (weights.search(cell) if state.search not in (None, "done") else 0.0)
        for cell, state in states.items()
    )
    if not left:
        return None, 0.0
    running = [job for job in jobs if job.running]
    if not running:
        return None, None
    work = sorted([*made, *searched])
    elapsed = now - work[0][0] if work else 0.0
    if len(work) <= 2 or elapsed <= 0:
        return None, left / len(running) / 3600
    speed = sum(weight for _, weight in work[1:]) / elapsed  # the first began before this time
    runs = sum(written > work[0][0] for written, _ in made)
    return runs / elapsed * 3600, left / speed / 3600


def _group(name: str, states: list[CellState]) -> Group:
    searches = [state.search for state in states if state.search is not None]
    return Group(
        group=name,
        cells=len(states),
        complete=sum(state.complete for state in states),
        runs=_counted(states),
        searches=len(searches),
        searched=searches.count("done"),
    )


def _counted(states: Collection[CellState]) -> dict[str, int]:
    return {name: sum(state.counts[name] for state in states) for name in STATES}


def _weights(study: Study) -> _Weights:
    """The plan's costs; where there is no plan, every run counts the same."""
    from autoloss.plan.command import costs_of

    try:
        devices = load_devices(study.root)
        use = Resources(1, 0, 1, choose_device(devices, None, 0))
        plan = Training(study, devices, costs_of(study), use, 1)
        for cell in cells_of(study):
            plan.run_seconds(cell)
    except UserError:
        return _Weights(lambda cell: 1.0, lambda cell: 1.0, lambda cell: 1)
    together = study.config.study.seeds_per_job
    return _Weights(
        lambda cell: plan.job_seconds(cell, together) / together,
        plan.search_seconds,
        plan.run_epochs,
    )
