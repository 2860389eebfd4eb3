"""The process of a command: how it imports, and is asked to stop."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer


@contextmanager
def importing() -> Iterator[None]:
    """Collect no garbage, now or in the end: among all that torch brings that takes a second."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # what is there by now stays
        gc.enable()


def stoppable(work: Callable[[], Path]) -> Path:
    """Do it; asked to stop by a signal, exit with a status that says "again, please"."""
    from autoloss.training.stop import EXIT_STATUS, StoppedError, stopping_between_steps

    try:
        with stopping_between_steps():
            return work()
    except StoppedError as stopped:
        typer.echo(f"Stopped by {stopped}; run it again, it goes on from here.", err=True)
        raise typer.Exit(EXIT_STATUS) from None
