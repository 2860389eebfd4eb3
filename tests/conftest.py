"""Fixtures that more than one folder of tests needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from autoloss.training import stop
from autoloss.training.loop import Trainer
from tests.studied import run_study, tiny_study, working_in
from tests.tiny import TASKS, tiny_data


@pytest.fixture(autouse=True)
def denormal_numbers():
    """Every test starts with them, whatever was trained before it in this process."""
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Prepared data of both tasks, by name."""
    folder = tmp_path_factory.mktemp("prepared")
    return {name: tiny_data(folder / name, classes) for name, classes in TASKS.items()}


@pytest.fixture(scope="session")
def studied(tmp_path_factory):
    """A folder in which `tests.studied.tiny_study()` has been made; not to be written to."""
    folder = tmp_path_factory.mktemp("study")
    with working_in(folder):
        run_study(tiny_study())
    return folder


@dataclass
class Stops:
    """Stops a run as a signal would, with its checkpoint in `file`."""

    file: Path
    monkeypatch: pytest.MonkeyPatch

    def at(self, step: int, run: Trainer) -> None:
        """Train until `step` steps are done, then as if SIGTERM had come."""
        asked: list[int] = []

        def counting(inner_step=run.inner_step):
            found = inner_step()
            asked.extend([15] * (run.progress.steps == step))
            return found

        with self.monkeypatch.context() as patch:
            patch.setattr(stop, "_asked", asked)
            patch.setattr(run, "inner_step", counting)
            with pytest.raises(stop.StoppedError):
                run.run()
        assert run.progress.steps == step


@pytest.fixture
def stops(tmp_path, monkeypatch):
    """For runs that are to be stopped."""
    return Stops(tmp_path / "state.pt", monkeypatch)
