"""One process at a time: the kernel's lock on a file, which goes with its holder, however it ends.

On one machine no lock can be stale. Over a shared file system it is as good as that system's flock:
NFS since version 4 and Lustre with `-o flock` pass it on to other hosts.
"""

from __future__ import annotations

import fcntl
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
from typing import Any

from filelock import FileLock, Timeout

from autoloss.errors import MachineError, UserError
from autoloss.training.stop import stop_if_asked

HEARTBEAT = 10.0  # seconds between two signs of life
SILENCE = 180.0  # seconds without one after which another host's process is taken for dead


@dataclass
class Holder:
    """Who holds a lock, in a file beside it, for those who wait and for `autoloss status`."""

    owner: Path
    clock: Callable[[], float] = time.monotonic
    about: dict[str, Any] = field(init=False)
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
def sole_holder(
    path: Path, say: Callable[[str], None], *, resumes: bool = False
) -> Iterator[Holder]:
    """Hold the lock file `path` during the block; wait, and `say` for whom, while another does.

    Args:
        path: the lock file.
        say: called with a sentence.
        resumes: the work goes on where it was stopped, or its machine failed, when it is begun
            again: until then what its holder wrote stays, and `autoloss status` shows it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock, owner = FileLock(path, fallback_to_soft=False), path.with_name(f"{path.name}.owner")
    try:
        lock.acquire(timeout=0)
    except NotImplementedError:
        mend = "put the project on a file system with locks (NFS since version 4, a local disk)"
        raise MachineError(str(path), "this file system has no locks", mend) from None
    except Timeout:
        say(f"another process has it ({_described(path)}, lock {path}); waiting for it")
        _wait(lock)
    cleared = [owner.with_name(f"{owner.name}.new"), owner, path]
    try:
        yield Holder(owner)
    except BaseException as error:
        if resumes and (isinstance(error, MachineError) or not isinstance(error, UserError)):
            cleared = []
        raise
    finally:
        for file in cleared:  # while held: who waits on the old file opens a new one
            with suppress(OSError):  # in the way of nothing
                file.unlink(missing_ok=True)
        lock.release()


def _wait(lock: FileLock) -> None:
    """Until it is free, or a signal asks to stop."""
    while not lock.is_locked:
        stop_if_asked()
        with suppress(Timeout):
            lock.acquire(timeout=0.2)


def _myself() -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return {"host": socket.gethostname(), "pid": os.getpid(), "since": now}


def _described(lock: Path) -> str:
    """Who holds it, as far as can be read: its holder may be about to write this or to go."""
    about = about_holder(lock)
    if not {"pid", "host", "since"} <= about.keys():
        return "not known"
    return f"process {about['pid']} on {about['host']} since {about['since']}"


def about_holder(lock: Path) -> dict[str, Any]:
    """What the holder of a lock wrote beside it; nothing where that cannot be read."""
    try:
        about = json.loads(lock.with_name(f"{lock.name}.owner").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return about if isinstance(about, dict) else {}


def is_alive(lock: Path, about: dict[str, Any], age: float, silence: float = SILENCE) -> bool:
    """Whether the process that wrote `about` beside a lock, `age` seconds ago, still holds it.

    On its own host the kernel says so; of another host its last sign of life does. Writes nothing.
    """
    if about.get("host") != socket.gethostname():
        return age <= silence
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
