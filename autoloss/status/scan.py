"""The status of a study: runs by state, what is alive, rate and time left.

Lists of shards say most; a record is read only where no list names its run. Which runs are alive is
told by their locks, of a workflow or by hand, here or elsewhere. Whatever cannot be read is counted
as damaged: a file may be half-written, or of another version.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from autoloss.data.manifest import MANIFEST
from autoloss.errors import UserError
from autoloss.lock import SILENCE, about_holder, is_alive
from autoloss.plan.costs import choose_device, costs_of, load_devices
from autoloss.plan.training import Resources, Training, cells_of
from autoloss.records.chosen import controller_run, run_id_of
from autoloss.records.shards import listed_runs
from autoloss.study import identity
from autoloss.study.cell import Cell
from autoloss.study.groups import GROUPS
from autoloss.study.study import Study

STATES = ("done", "running", "failed", "stale", "damaged", "interrupted", "missing")
MADE = ("done", "failed")  # failed runs are not repeated by themselves
WINDOW = 3600.0  # seconds over which the rate is taken
LOCK = ".lock"


@dataclass
class Run:
    """A run, or with no seed a cell's search: its state, and when its record was written.

    `weight`: seconds that it takes by the plan; `why`: what it failed of.
    """

    cell: Cell
    seed: int | None
    state: str
    weight: float
    written: float = 0.0
    run_id: str = ""
    why: str = ""


@dataclass(frozen=True)
class Job:
    """A run or search (no seed) that holds its lock, or was interrupted.

    `age`: seconds since its last sign of life; `since`: when it took its lock; `epoch` and `said`:
    how far it is; `last`: the last line that it has written.
    """

    cell: str
    seed: int | None
    age: float
    since: str = ""
    epoch: int | None = None
    said: str = ""
    last: str = ""


def scan(study: Study, *, now: float | None = None, fresh: float | None = None) -> dict[str, Any]:
    """How far the study in the current folder is, as `--json` shows it; hours are None if unknown.

    Args:
        now: the time to judge by, for tests; None: the clock's.
        fresh: seconds in which a job of another host must have given a sign of life; None: three
            minutes.
    """
    now = time.time() if now is None else now
    groups = _groups(study)
    cells = list(dict.fromkeys([*cells_of(study), *(c for g in groups for c in study.cells(g))]))
    damaged: list[Path] = []
    weigh, hashes = _weights(study), _data_hashes(study, cells)
    runs = [run for c in cells for run in _cell(study, c, hashes[c.dataset], weigh, damaged)]
    searches = {
        str(cell): f"search-{identity.search_key(study, cell)}-"
        f"{(hashes[cell.dataset][study.split_of(None)] or '')[:16]}"
        for cell in cells
        if study.searches(cell)
    }
    alive, dead = _locked(study, searches, now, SILENCE if fresh is None else fresh)
    by_name = {(str(run.cell), run.seed): run for run in runs}
    made = {name for name, run in by_name.items() if run.state in MADE}
    dead = [job for job in dead if (job.cell, job.seed) not in made]
    for state, jobs in (("interrupted", dead), ("running", alive)):
        for job in jobs:
            run = by_name.get((job.cell, job.seed))
            if run is not None and run.state not in MADE:  # none: by hand, in no table
                run.state = state
    rate, left = _progress(runs, len(alive), now)
    return {
        "study": study.name,
        "groups": [_group(group, set(study.cells(group)), runs) for group in groups],
        "runs": _counted(run for run in runs if run.seed is not None),
        "running": [asdict(job) for job in alive],
        "interrupted": [asdict(job) for job in dead],
        "failed": [
            {"cell": str(run.cell), "seed": run.seed, "why": run.why}
            for run in runs
            if run.state == "failed"
        ],
        "damaged": [str(file) for file in damaged],
        "runs_per_hour": rate,
        "hours_left": left,
    }


def _groups(study: Study) -> list[str]:
    """The groups of `snakemake all`, and others of which there is a cell that those lack."""
    groups, known = study.reported_groups(), set(cells_of(study))
    for group in GROUPS:
        cells = study.cells(group)
        if group not in groups and any(
            c not in known and study.cell_folder(c).exists() for c in cells
        ):
            groups.append(group)
            known |= set(cells)
    return groups


def _group(group: str, cells: set[Cell], runs: list[Run]) -> dict[str, Any]:
    """A table or figure: complete cells of all, runs by state, searches done of all."""
    own = [run for run in runs if run.cell in cells]
    unmade = {run.cell for run in own if run.seed is not None and run.state != "done"}
    searches = [run.state for run in own if run.seed is None]
    return {
        "group": group,
        "cells": len(cells),
        "complete": len(cells - unmade),
        "runs": _counted(run for run in own if run.seed is not None),
        "searches": len(searches),
        "searched": searches.count("done"),
    }


def _counted(runs: Iterable[Run]) -> dict[str, int]:
    counts = Counter(run.state for run in runs)
    return {state: counts[state] for state in STATES}


def _cell(
    study: Study,
    cell: Cell,
    hashes: dict[int, str | None],
    weigh: Callable[[Cell], tuple[float, float]],
    damaged: list[Path],
) -> list[Run]:
    """What there is of a cell, its search last; never raises for what its files hold."""
    weight, search_weight = weigh(cell)
    listed, unread = listed_runs(study, cell)
    damaged += unread  # their records say what they would have
    runs = []
    for seed in study.seeds:
        file = study.record_file(cell, seed)
        run = Run(cell, seed, "missing", weight, _modified(file))
        runs.append(run)
        if not run.written:
            continue
        about = listed.get(seed, {})
        if about.get("status") != "ok":
            about = _read_json(file) or {}
        run.state = {"ok": "done", "failed": "failed"}.get(str(about.get("status")), "damaged")
        run.run_id = str(about.get("run_id"))
        if run.state == "failed":
            run.why = _why(about)
        elif run.state == "damaged":
            damaged.append(file)
    _mark_stale(study, cell, [run for run in runs if run.state in MADE], hashes)
    if study.searches(cell):
        file = study.search_file(cell)
        search = Run(cell, None, "missing", search_weight, _modified(file))
        content = _read_json(file)
        if content is not None and "chosen" in content:
            same = content.get("key") == identity.search_key(study, cell)
            known = hashes[study.split_of(None)] in (None, content.get("data_hash"))
            taken = content.get("controller") == _controller_run(study, cell)
            search.state = "done" if same and known and taken else "stale"
        elif search.written:
            search.state = "damaged"
            damaged.append(file)
        runs.append(search)
    return runs


def _controller_run(study: Study, cell: Cell) -> str | None:
    """The run whose controller a search takes; none where its record cannot be read."""
    try:
        return controller_run(study, cell)
    except UserError:
        return None


def _mark_stale(study: Study, cell: Cell, runs: list[Run], hashes: dict[int, str | None]) -> None:
    """Runs of another configuration, code or data will be repeated.

    Of each split all identities are compared only where the first and last seed's do not agree.
    """

    def is_stale(run: Run) -> bool:
        data_hash = hashes[study.split_of(run.seed)]
        try:
            return data_hash is not None and run.run_id != run_id_of(
                study, cell, run.seed or 0, data_hash
            )
        except UserError:
            return True  # what it was made with, its search or controller, is not there any more

    by_split: dict[int, list[Run]] = {}
    for run in runs:
        by_split.setdefault(study.split_of(run.seed), []).append(run)
    for own in by_split.values():
        first, last = is_stale(own[0]), is_stale(own[-1])
        for run in own:
            if first if first == last else is_stale(run):
                run.state = "stale"


def _why(record: dict[str, Any]) -> str:
    failure = record.get("failure")
    if not isinstance(failure, dict):
        return "the record does not say why"
    return f"{failure.get('kind', 'an error')}: {failure.get('message', '')}".partition("\n")[0]


def _locked(
    study: Study, searches: dict[str, str], now: float, fresh: float
) -> tuple[list[Job], list[Job]]:
    """The runs and searches whose locks are held, and those whose holders are no more.

    Of a cell in `searches` only the search is interrupted whose lock's name begins so.
    """
    alive, dead = list[Job](), list[Job]()
    for owner in sorted((study.results / "runs").glob(f"*/*/*/.state/*{LOCK}.owner")):
        lock, written = owner.with_suffix(""), _modified(owner)
        digits = lock.stem.removeprefix("seed_")
        seed = int(digits) if digits.isdecimal() else None
        if not written or (seed is None and not lock.stem.startswith("search-")):
            continue
        about, age = about_holder(lock), max(0.0, now - written)
        job = Job(
            cell="/".join(owner.parts[-5:-2]),
            seed=seed,
            age=round(age, 1),
            since=str(about.get("since", "")),
            epoch=about["epoch"] if isinstance(about.get("epoch"), int) else None,
            said=str(about.get("said", "")),
            last=str(about.get("last", "")),
        )
        if is_alive(lock, about, age, fresh):
            alive.append(job)
        elif seed is not None or lock.stem.startswith(searches.get(job.cell, "")):
            dead.append(job)
    return alive, dead


def _progress(runs: list[Run], running: int, now: float) -> tuple[float | None, float | None]:
    """Runs an hour, and hours left at the speed of the last hour, weighed by the plan's costs."""
    left = sum(run.weight for run in runs if run.state not in MADE)
    if not left:
        return None, 0.0
    if not running:
        return None, None
    made = [run for run in runs if run.state in MADE and now - WINDOW <= run.written <= now]
    began = min((run.written for run in made), default=now)
    if len(made) <= 2 or began == now:
        return None, left / running / 3600
    later = sorted(made, key=lambda run: run.written)[1:]  # the first began before this time
    speed = sum(run.weight for run in later) / (now - began)
    count = sum(run.seed is not None and run.written > began for run in made)
    return count / (now - began) * 3600, left / speed / 3600


def _weights(study: Study) -> Callable[[Cell], tuple[float, float]]:
    """Seconds of a cell's run, with its share of a job's start, and of its search, by the plan.

    Where there is no plan, every run counts the same.
    """
    try:
        devices = load_devices(study.root)
        use = Resources(1, 0, 1, choose_device(devices, None, 0))
        plan = Training(study, devices, costs_of(study), use)
        plan.costs  # noqa: B018
    except UserError:
        return lambda cell: (1.0, 1.0)
    together = study.config.study.seeds_per_job

    def weigh(cell: Cell) -> tuple[float, float]:
        cost = plan.cost(cell)
        return cost.job_seconds(together)[1] / together, cost.search_seconds[1]

    return weigh


def _data_hashes(study: Study, cells: list[Cell]) -> dict[str, dict[int, str | None]]:
    """The hash of each data set's splits as prepared, None where one is not."""

    def known(name: str, split: int) -> str | None:
        manifest = _read_json(study.prepared_folder(name, split) / MANIFEST)
        return (manifest or {}).get("data_hash")

    names = dict.fromkeys(cell.dataset for cell in cells)
    return {name: {k: known(name, k) for k in study.prepared_splits} for name in names}


def _read_json(file: Path) -> dict[str, Any] | None:
    """The object in `file`, None if there is none or it cannot be read."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _modified(file: Path) -> float:
    """When a file was written; 0 if there is none."""
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
