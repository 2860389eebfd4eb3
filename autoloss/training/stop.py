"""Asked to stop (a cluster's preemption, Ctrl-C): noticed between two steps, never within one.

A run then writes its checkpoint, and its command exits with a status that says "again, please".
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

EXIT_STATUS = 75  # EX_TEMPFAIL of sysexits.h: try again later
_asked: list[int] = []  # the signals that came since the handlers were set


class StoppedError(BaseException):
    """The process was asked to stop. No `Exception`: it is no result of the run."""


@contextmanager
def stopping_between_steps() -> Iterator[None]:
    """Within it, SIGTERM and SIGINT only ask; a second one ends the process as ever."""
    _asked.clear()
    before = {name: signal.getsignal(name) for name in (signal.SIGTERM, signal.SIGINT)}

    def ask(number: int, frame: FrameType | None) -> None:
        _asked.append(number)
        for name, handler in before.items():
            signal.signal(name, handler)

    for name in before:
        signal.signal(name, ask)
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def asked_to_stop() -> bool:
    """Whether a signal has come."""
    return bool(_asked)


def stop_if_asked() -> None:
    """Raises StoppedError if a signal has come."""
    if _asked:
        raise StoppedError(f"signal {_asked[0]}")
