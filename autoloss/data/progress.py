"""Progress of long work on data: a line now and then; of bytes, on a terminal, a bar."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

PAUSE = 10.0  # seconds between lines
Say = Callable[[str], None]
At = Callable[[int], None]  # is told how many bytes there are by now


def to_stderr(line: str) -> None:
    """Say a line where it does not mix with a command's output."""
    print(line, file=sys.stderr, flush=True)


class Lines:
    """Says how far something is, at most every `PAUSE` seconds: nothing of short things."""

    def __init__(self, name: str, say: Say) -> None:
        self._name, self._say = name, say
        self._start = self._last = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether the last line was long enough ago."""
        return time.monotonic() - self._last >= PAUSE

    def __call__(self, what: str) -> None:
        """Tell `what`, if a line is due."""
        if self.due:
            self._last = time.monotonic()
            self._say(f"{self._name}: {what}, {self._last - self._start:.0f} s")


@contextmanager
def byte_progress(what: str, total: int | None, say: Say) -> Iterator[At]:
    """A function to be told how many bytes of `total` there are by now."""
    console, lines = Console(stderr=True), Lines(what, say)
    numbers = DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn()
    text = TextColumn("{task.description}", markup=False)
    options = {"transient": True, "disable": not console.is_terminal}
    with Progress(
        text, BarColumn(), *numbers, console=console, get_time=time.monotonic, **options
    ) as bar:
        task = bar.add_task(what, total=total)

        def at(done: int) -> None:
            bar.update(task, completed=done)
            if bar.disable and lines.due:
                lines(", ".join(str(column.render(bar.tasks[0])) for column in numbers) + " left")

        yield at
