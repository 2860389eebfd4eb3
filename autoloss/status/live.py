"""Which runs and searches are alive, by their locks: of a workflow or by hand, here or elsewhere.

Who holds a lock writes beside it who it is and, every few seconds, how far (autoloss/lock.py). On
its own host the kernel says whether the lock is held; of another host the file's age says it.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import Any

from autoloss.status.cells import read_json
from autoloss.status.logs import Job
from autoloss.study import Study

END = ".lock.owner"
SILENCE = 180.0  # seconds without a heartbeat after which another host's process is taken for dead


def live_jobs(study: Study, now: float, fresh: float = SILENCE) -> list[Job]:
    """What holds a lock of this study, one job for each."""
    owners = sorted((study.results / "runs").glob(f"*/*/*/.state/*{END}"))
    return [job for owner in owners if (job := _job(owner, now, fresh)) is not None]


def with_live(jobs: list[Job], live: list[Job]) -> list[Job]:
    """`jobs`, of which those that hold a lock run, and those that only a lock tells of."""
    for at in live:
        same = [number for number, job in enumerate(jobs) if _is_in(at, job)]
        if not same:
            jobs = [*jobs, at]
            continue
        job = jobs[same[0]]
        newer = {"seed": at.seed, "epoch": at.epoch, "said": at.said} if at.said else {}
        signs = {"running": True, "age": min(job.age, at.age), "since": at.since}
        jobs = [*jobs]
        jobs[same[0]] = job.model_copy(update={**newer, **signs})
    return jobs


def _is_in(at: Job, job: Job) -> bool:
    """Whether the run or search that a lock is of is `job`'s."""
    if (at.cell, at.kind) != (job.cell, job.kind):
        return False
    return job.seeds is None or (at.seed is not None and job.seeds[0] <= at.seed <= job.seeds[1])


def _job(owner: Path, now: float, fresh: float) -> Job | None:
    about = read_json(owner) or {}
    try:
        age = max(0.0, now - owner.stat().st_mtime)
    except OSError:
        return None  # it has just ended
    if about.get("host") == socket.gethostname():
        alive = is_held(owner.with_name(owner.name.removesuffix(".owner")))
    else:
        alive = age <= fresh
    name = owner.name.removesuffix(END)
    digits = name.removeprefix("seed_")
    seed = int(digits) if digits.isdecimal() else None
    if not alive or (seed is None and not name.startswith("search-")):
        return None
    return Job(
        cell="/".join(owner.parts[-5:-2]),
        kind="search" if seed is None else "train",
        seeds=None if seed is None else (seed, seed),
        running=True,
        age=round(age, 1),
        seed=seed,
        epoch=_whole(about.get("epoch")),
        said=str(about.get("said", "")),
        since=str(about.get("since", "")),
    )


def _whole(number: Any) -> int | None:
    return number if isinstance(number, int) else None


def is_held(lock: Path) -> bool:
    """Whether a process holds the lock file `lock`."""
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False
