"""What a training job shows: a progress bar on a terminal, plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from autoloss.training.pace import Beat

QUIET = 50.0  # seconds without a line after which a log gets one: one a minute at least


class Display:
    """The lines of a job, and how far its runs are.

    On a terminal the epoch at hand is a bar with rate and time left, the last line beside it; a log
    has the lines, and within a long epoch one a minute. Call it with a line.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self.console, self.clock = console, clock
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[speed]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self.bar.add_task("starting", total=None, speed="")
        self._said = clock()

    def __call__(self, line: str) -> None:
        """Show a line."""
        self._said = self.clock()
        if self.bar.disable:
            self.console.print(line, markup=False)
        else:
            self.bar.update(self._task, description=line, speed="")

    def beat(self, name: str, beat: Beat) -> None:
        """Show where a run is: on the bar, or in a log that has been silent for long."""
        if not self.bar.disable:
            description = f"{name}: epoch {beat.epoch}, {beat.what}"
            self.bar.update(
                self._task,
                description=description,
                completed=beat.step,
                total=beat.steps,
                speed=beat.speed,
            )
        elif self.clock() - self._said >= QUIET:
            self(f"{name}: {beat}")


@contextmanager
def reporting(console: Console | None = None) -> Iterator[Display]:
    """What takes the lines of a job, and the beats of its runs."""
    display = Display(console or Console(stderr=True, highlight=False, soft_wrap=True))
    with display.bar:
        yield display
