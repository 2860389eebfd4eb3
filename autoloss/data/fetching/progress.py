"""Progress with rate and time left: a bar on a terminal, now and then a line in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

EVERY = 5.0  # seconds between two lines
At = Callable[[int], None]  # is told how many bytes there are by now


@contextmanager
def progress(what: str, total: int | None, say: Callable[[str], None]) -> Iterator[At]:
    """A function to be told how many bytes of `total` there are by now."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines(what, total, say)
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    text = TextColumn("{task.description}", markup=False)
    with Progress(text, *columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


class _Lines:
    def __init__(self, what: str, total: int | None, say: Callable[[str], None]) -> None:
        self.what, self.total, self.say = what, total, say
        self.started = self.spoken = time.monotonic()
        self.first: int | None = None  # a resumed download's rate is that of the new bytes

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        self.first = done if self.first is None else self.first
        if now - self.spoken < EVERY:
            return
        self.spoken = now
        rate = (done - self.first) / (now - self.started)
        line = f"{self.what}: {decimal(done)}"
        if self.total:
            line += f" of {decimal(self.total)} ({done / self.total:.0%})"
        line += f", {decimal(round(rate))}/s"
        if self.total and rate > 0:
            line += f", {_duration((self.total - done) / rate)} left"
        self.say(line)


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
