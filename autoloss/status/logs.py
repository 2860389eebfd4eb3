"""Which jobs run, by how fresh their logs and checkpoints are, and what they last said."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

from autoloss.strict import Strict
from autoloss.study import Cell, Study

TAIL = 4096  # bytes of a log's end that are read
EPOCH = re.compile(r" seed (\d+): (?:in )?epoch (\d+): (.*)$")


class Job(Strict):
    """A job that is not finished: a shard's training, or a search.

    `age`: seconds since it last wrote; `since`: when it took its lock. `said`: its last line,
    without the cell, or how far it is; of a training that is in an epoch: `seed`, `epoch` and the
    metrics in `said`.
    """

    cell: str
    kind: str
    seeds: tuple[int, int] | None
    running: bool
    age: float
    seed: int | None = None
    epoch: int | None = None
    said: str = ""
    since: str = ""


def unfinished_jobs(
    study: Study, cells: list[Cell], now: float, fresh: Callable[[Cell], float]
) -> list[Job]:
    """The jobs of `cells` that have a log and are not finished.

    Args:
        fresh: seconds without a sign after which a cell's job is no longer taken to run.
    """
    found = []
    for cell in cells:
        here = Path("logs") / study.name / "train" / cell.dataset / cell.model
        for first, last in study.shards():
            log = here / f"{cell.method}_{first}-{last}.log"
            done = study.shard_file(cell, first, last)
            if job := _job(study, cell, log, done, now, fresh(cell), (first, last)):
                found.append(job)
        if study.searches(cell):
            log = Path("logs") / study.name / "search" / cell.dataset / cell.model
            log = log / f"{cell.method}.log"
            if job := _job(study, cell, log, study.search_file(cell), now, fresh(cell), None):
                found.append(job)
    return found


def _job(
    study: Study,
    cell: Cell,
    log: Path,
    done: Path,
    now: float,
    fresh: float,
    seeds: tuple[int, int] | None,
) -> Job | None:
    written = _modified(log)
    if written is None or _modified(done) is not None:
        return None
    kind = "train" if seeds else "search"
    last = max([written, *(_checkpoints(study.cell_folder(cell) / ".state", kind))])
    age = max(0.0, now - last)
    line = _last_line(log)
    said = line.removeprefix(f"{cell} ")
    epoch = EPOCH.search(line)
    return Job(
        cell=str(cell),
        kind=kind,
        seeds=seeds,
        running=age <= fresh,
        age=round(age, 1),
        seed=int(epoch[1]) if epoch else None,
        epoch=int(epoch[2]) if epoch else None,
        said=epoch[3] if epoch else said,
    )


def _checkpoints(folder: Path, kind: str) -> list[float]:
    """When a cell's checkpoints were written: a search's, or its runs'."""
    try:
        names = [n for n in os.listdir(folder) if n.startswith("search-") == (kind == "search")]
    except OSError:
        return []
    return [time for name in names if (time := _modified(folder / name)) is not None]


def _modified(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None


def _last_line(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            stream.seek(0, os.SEEK_END)
            stream.seek(max(0, stream.tell() - TAIL))
            lines = stream.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
