"""Lines of progress of long preparations."""

from __future__ import annotations

import time
from collections.abc import Callable

PAUSE = 10.0  # seconds between lines
Say = Callable[[str], None]


class Progress:
    """Says how far something is, at most every `PAUSE` seconds: nothing of short things."""

    def __init__(self, name: str, say: Say) -> None:
        self._name, self._say = name, say
        self._start = self._last = time.monotonic()

    def __call__(self, what: str) -> None:
        """Tell `what`, if the last line was long enough ago."""
        now = time.monotonic()
        if now - self._last >= PAUSE:
            self._say(f"{self._name}: {what}, {now - self._start:.0f} s")
            self._last = now
