"""What a training job shows: a progress bar on a terminal, plain lines in a log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn


@contextmanager
def reporting(max_epochs: int, runs: int) -> Iterator[Callable[[str], None]]:
    """A function that takes the lines of a job of `runs` runs of at most `max_epochs` epochs."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    if not console.is_terminal:
        yield lambda line: console.print(line, markup=False)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        # Early stopping ends most runs sooner: the bar counts the epochs that are possible.
        task = bar.add_task("starting", total=max_epochs * runs)

        def show(line: str) -> None:
            bar.update(task, description=line, advance=1 if ": epoch " in line else 0)

        yield show
