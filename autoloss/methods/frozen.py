"""A trained controller as a file of its own, and as the still part of another training (§3.5)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch

from autoloss.errors import ConfigError
from autoloss.methods.contract import Step
from autoloss.methods.learned import Parametric
from autoloss.training import checkpoint


def save_controller(method: Parametric, file: Path) -> str:
    """Write the method's weighting and what it is for; returns SHA-256 over its parameters."""
    state = method.weighting.state_dict()
    checkpoint.save({"weighting": state, **_purpose(method)}, file)
    return checkpoint.tensors_digest(state)


def _purpose(method: Parametric) -> dict[str, Any]:
    return {"classes": method.task.classes, "candidates": list(method.candidates.names)}


def controller_digest(file: Path) -> str:
    """SHA-256 over the parameters in `file`."""
    return checkpoint.tensors_digest(checkpoint.load(file, torch.device("cpu"))["weighting"])


class Frozen(Parametric):
    """Mix in before a `Learned` or `Joint` method: its weighting, read from a file, never moves.

    The option `controller` is the file; without one the weighting stays as it was initialised. The
    relaxation is the method's own, its temperature starts anew; the weighting has no dropout.

    Raises:
        ConfigError: on construction, if the file is of other candidates or another task.
    """

    def build(self) -> None:
        """As the method does, then with the file's parameters, which need no gradient."""
        super().build()
        if self.options["controller"]:
            self._read(Path(self.options["controller"]))
        self.weighting.requires_grad_(False)

    def _read(self, file: Path) -> None:
        where = f"methods.{self.info.name}.controller"
        mend = "give the seed_N.controller.pt of a run with this task, candidates and `hidden`"
        try:
            saved = checkpoint.load(file, torch.device("cpu"))
        except FileNotFoundError:
            raise ConfigError(where, f"no such file: {file}", mend) from None
        for key, value in _purpose(self).items():
            if saved[key] != value:
                problem = f"{file} has {key} {saved[key]}, this run {value}"
                raise ConfigError(where, problem, mend)
        try:
            self.weighting.load_state_dict(saved["weighting"])
        except RuntimeError as error:
            raise ConfigError(where, f"{file} does not fit: {error}", mend) from None

    def before_step(self, step: Step) -> bool:
        """Nothing to do."""
        return False

    def kind(self, t: int) -> int:
        """All steps are alike."""
        return 0

    def inner_parameters(self) -> tuple[()]:
        """None: V stays."""
        return ()

    def after_step(self) -> bool:
        """Nothing to do."""
        return False

    def train(self, mode: bool = True) -> Self:
        """As any module, but for the weighting, which is always in evaluation mode."""
        super().train(mode)
        self.weighting.eval()
        return self

    def get_extra_state(self) -> dict[str, Any]:
        """No optimizer has a state."""
        return {}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Nothing to restore."""
