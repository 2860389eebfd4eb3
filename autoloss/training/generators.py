"""No step of training draws from a generator that all share: noise is by place (autoloss.seeds).

What comes out of torch's, numpy's or Python's own depends on what was drawn before: methods would
share no masks at one seed, which a paired test needs, and a run that is resumed would go on with
other bits.
"""

from __future__ import annotations

import pickle
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Self

import numpy as np
import torch

from autoloss.errors import ConfigError

MEND = (
    "have dropout by autoloss.layers.dropout.Dropout, and torch's layers a dropout of 0; what a "
    "method draws, by `uniform(draw.seed(0), like)` or `gumbel` of autoloss.ops.random"
)
TORCH = str(Path(torch.__file__).parent)


class Generators:
    """Torch's generators, of the CPU and of a GPU in use, numpy's and Python's, as they were."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.states = self._now()

    def _now(self) -> dict[str, Any]:
        states: dict[str, Any] = {"torch's own generator": torch.get_rng_state().numpy().tobytes()}
        if self.device.type == "cuda":
            state = torch.cuda.get_rng_state(self.device)
            states["torch's own generator of the GPU"] = state.numpy().tobytes()
        states["numpy's global generator"] = pickle.dumps(np.random.get_state(legacy=False))
        return {**states, "the generator of Python's `random`": random.getstate()}

    @property
    def moved(self) -> list[str]:
        """Which of them something has drawn from."""
        now = self._now()
        return [name for name, state in self.states.items() if now[name] != state]

    def require_unmoved(self, where: str, again: Callable[[], object] | None = None) -> None:
        """Refuse what has drawn from one: at the line of it, where doing it `again` shows that.

        Raises:
            ConfigError: at the line, or at `where`.
        """
        moved = self.moved
        if not moved:
            return
        if again is not None:
            with _Watch(Generators(self.device)) as watch:
                again()
            where = watch.place or where
        problem = f"draws from {moved[0]}, so that runs would depend on what was drawn before"
        raise ConfigError(where, problem, MEND)


class _Watch:
    """Within it, which line outside of torch was the first to move a generator."""

    def __init__(self, generators: Generators) -> None:
        self.generators = generators
        self.place: str | None = None
        self._lines: dict[FrameType, int] = {}  # the last one begun in each function

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(self._before)

    def _trace(self, frame: FrameType, event: str, arg: object) -> Any:
        """As `sys.settrace` asks: what has moved one is what was done before this event."""
        if self.place or frame.f_code.co_filename.startswith(TORCH):
            return None
        at: FrameType | None = frame
        while at is not None and at not in self._lines:  # begins: its caller was at work
            at = at.f_back
        if at is not None and self.generators.moved:
            self.place = f"{at.f_code.co_filename}:{self._lines[at]}"
        self._lines[frame] = frame.f_lineno
        return self._trace
