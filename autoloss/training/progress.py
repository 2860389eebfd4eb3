"""What a training job shows: a progress bar on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from autoloss.training.pace import Beat

QUIET = 50.0  # seconds without a line after which a log gets one: one a minute at least


@dataclass
class Log:
    """Lines, and within a long epoch one a minute; call it with a line."""

    console: Console
    clock: Callable[[], float] = time.monotonic
    _said: float = field(init=False)

    def __post_init__(self) -> None:
        self._said = self.clock()

    def __call__(self, line: str) -> None:
        """Print a line."""
        self.console.print(line, markup=False)
        self._said = self.clock()

    def beat(self, name: str, beat: Beat) -> None:
        """Print where a run is if nothing was printed for long."""
        if self.clock() - self._said >= QUIET:
            self(f"{name}: {beat}")


@dataclass
class Bar:
    """The epoch at hand as a bar with rate and time left, and the last line beside it."""

    progress: Progress
    task: TaskID

    def __call__(self, line: str) -> None:
        """Show a line."""
        self.progress.update(self.task, description=line, speed="")

    def beat(self, name: str, beat: Beat) -> None:
        """Show where a run is."""
        self.progress.update(
            self.task,
            description=f"{name}: epoch {beat.epoch}, {beat.what}",
            completed=beat.step,
            total=beat.steps,
            speed=beat.speed,
        )


@contextmanager
def reporting(console: Console | None = None) -> Iterator[Log | Bar]:
    """What takes the lines of a job, and the beats of its runs."""
    console = console or Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield Log(console)
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[speed]}"),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bar(progress, progress.add_task("starting", total=None, speed=""))
