"""How far a run is within an epoch: told once a second, whoever listens; a step pays one clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

EVERY = 1.0  # seconds between two beats


@dataclass(frozen=True)
class Beat:
    """Where a run is: `step` of `steps` of an epoch (or of a split's evaluation after it).

    `rate` is in examples a second, `left` in seconds until the last of these steps.
    """

    what: str
    epoch: int
    step: int
    steps: int
    rate: float
    left: float

    @property
    def speed(self) -> str:
        """Rate and time left."""
        return f"{self.rate:,.0f} examples/s, {duration(self.left)} left"

    @property
    def position(self) -> str:
        """The step, of how many, and how fast."""
        return f"{self.what} step {self.step:,} of {self.steps:,}, {self.speed}"

    def __str__(self) -> str:
        return f"in epoch {self.epoch}: {self.position}"


Listener = Callable[[Beat], None]


class Pace:
    """Counts the steps of one part of a run after another and tells `listener` how they go."""

    def __init__(
        self, listener: Listener | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._listener, self._clock = listener, clock
        self._due = -math.inf if listener else math.inf

    def begin(self, what: str, epoch: int, step: int, steps: int, examples: int) -> None:
        """`steps` steps of `examples` each, of which `step` are done."""
        self._part, self._first, self._examples = (what, epoch, steps), step, examples
        self._began = self._clock()

    def at(self, step: int) -> None:
        """`step` steps are done."""
        now = self._clock()
        if now < self._due or self._listener is None:
            return
        self._due = now + EVERY
        what, epoch, steps = self._part
        speed = (step - self._first) / max(now - self._began, 1e-9)
        left = (steps - step) / speed
        self._listener(Beat(what, epoch, step, steps, speed * self._examples, left))


def duration(seconds: float) -> str:
    """In the unit that reads best."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"
