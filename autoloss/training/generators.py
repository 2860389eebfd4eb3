"""No step of training draws from torch's own generators: noise is by place (autoloss.seeds).

What comes out of a generator depends on what was drawn before: methods would share no masks at one
seed, which a paired test needs, and a run that is resumed would go on with other bits.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from autoloss.errors import ConfigError

MEND = (
    "have dropout by autoloss.layers.dropout.Dropout, and torch's layers a dropout of 0; what a "
    "method draws, by `uniform(draw.seed(0), like)` or `gumbel` of autoloss.ops.random"
)
TORCH = str(Path(torch.__file__).parent)


class Generators:
    """Torch's generators, of the CPU and of a GPU in use, as they were when this was made."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.states = self._now()

    def _now(self) -> list[Tensor]:
        states = [torch.get_rng_state()]
        if self.device.type == "cuda":
            states.append(torch.cuda.get_rng_state(self.device))
        return states

    @property
    def moved(self) -> bool:
        """Whether anything has drawn from one."""
        return not all(map(torch.equal, self.states, self._now()))

    def require_unmoved(self, where: str, again: Callable[[], object] | None = None) -> None:
        """Refuse what has drawn from one: at the line of it, where doing it `again` shows that.

        Raises:
            ConfigError: at the line, or at `where`.
        """
        if not self.moved:
            return
        if again is not None:
            with _Watch(Generators(self.device)) as watch:
                again()
            where = watch.line or where
        problem = "draws from torch's own generator, so that runs would depend on what was drawn "
        raise ConfigError(where, f"{problem}before", MEND)


class _Watch(TorchDispatchMode):
    """Which line outside of torch asked for the first operation that moved a generator."""

    def __init__(self, generators: Generators) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.generators = generators
        self.line: str | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if self.line is None and self.generators.moved:
            frames = [f for f in traceback.extract_stack()[:-1] if not f.filename.startswith(TORCH)]
            self.line = f"{frames[-1].filename}:{frames[-1].lineno}"
        return result
