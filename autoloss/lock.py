"""One process at a time: the kernel's lock on a file, which goes with its holder, however it ends.

On one machine no lock can be stale. Over a shared file system it is as good as that system's flock:
NFS since version 4 and Lustre with `-o flock` pass it on to other hosts.
"""

from __future__ import annotations

import json
import math
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from autoloss.errors import MachineError
from autoloss.training.stop import stop_if_asked

HEARTBEAT = 10.0  # seconds between two signs of life


@dataclass
class Holder:
    """Who holds a lock, in a file beside it, for those who wait and for `autoloss status`."""

    owner: Path
    clock: Callable[[], float] = time.monotonic
    about: dict[str, object] = field(init=False)
    _due: float = field(init=False, default=-math.inf)

    def __post_init__(self) -> None:
        self.about = _myself()
        self.owner.write_text(json.dumps(self.about), encoding="utf-8")

    def note(self, **how_far: object) -> None:
        """Write down how far the work is; mostly does nothing: every ten seconds is enough."""
        if (now := self.clock()) < self._due:
            return
        self._due = now + HEARTBEAT
        new = self.owner.with_name(f"{self.owner.name}.new")
        with suppress(OSError):  # a sign of life, no more
            new.write_text(json.dumps(self.about | how_far), encoding="utf-8")
            new.replace(self.owner)


@contextmanager
def sole_holder(path: Path, say: Callable[[str], None]) -> Iterator[Holder]:
    """Hold the lock file `path` during the block; wait, and `say` for whom, while another does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(path, fallback_to_soft=False), path.with_name(f"{path.name}.owner")
    try:
        lock.acquire(timeout=0)
    except NotImplementedError:
        mend = "put the project on a file system with locks (NFS since version 4, a local disk)"
        raise MachineError(str(path), "this file system has no locks", mend) from None
    except Timeout:
        say(f"another process has it ({_described(owner)}, lock {path}); waiting for it")
        _wait(lock)
    try:
        yield Holder(owner)
    finally:
        new = owner.with_name(f"{owner.name}.new")
        for file in (new, owner, path):  # while held: who waits on the old file opens a new one
            with suppress(OSError):  # in the way of nothing
                file.unlink(missing_ok=True)
        lock.release()


def _wait(lock: FileLock) -> None:
    """Until it is free, or a signal asks to stop."""
    while not lock.is_locked:
        stop_if_asked()
        with suppress(Timeout):
            lock.acquire(timeout=0.2)


def _myself() -> dict[str, object]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": now}


def _described(owner: Path) -> str:
    """Who holds it, as far as can be read: its holder may be about to write this or to go."""
    try:
        found = json.loads(owner.read_text(encoding="utf-8"))
        return f"process {found['pid']} on {found['host']} since {found['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "not known"
