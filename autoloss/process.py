"""The process of a command: how it imports, is asked to stop, and ends."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import typer


def leave(status: str | int | None) -> NoReturn:
    """Exit. Freeing all that torch made, one by one, would take a job half a second: not done."""
    if "numpy" not in sys.modules or isinstance(status, str):  # a light command
        sys.exit(status)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status or 0)


@contextmanager
def importing() -> Iterator[None]:
    """Collect no garbage: looking for it among all that torch brings takes a third of a second."""
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
