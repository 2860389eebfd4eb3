"""Fixtures that more than one folder of tests needs."""

from __future__ import annotations

import os

# As the command line has it, and before numpy and torch are imported; a worker has a core, and
# more threads, here or in commands that are run, would wait for one another.
os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from hypothesis import settings

from autoloss.training import stop
from autoloss.training.loop import Trainer
from tests.studied import run_study, tiny_study, working_in
from tests.tiny import TASKS, tiny_data


def pytest_collection_modifyitems(items):
    """The workflow's tests first: they are the longest, and workers take tests in this order."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)


torch.set_num_threads(1)
# How long an example takes, others decide. The same examples each time: a clone that passes goes
# on passing; `pytest --hypothesis-profile anew` draws others.
settings.register_profile("anew", deadline=None)
settings.register_profile("same", deadline=None, derandomize=True)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def denormal_numbers():
    """Every test starts with them, whatever was trained before it in this process."""
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """Prepared data of both tasks, by name."""
    folder = tmp_path_factory.mktemp("prepared")
    return {name: tiny_data(folder / name / "split_0", classes) for name, classes in TASKS.items()}


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], object]], Path]:
    """Makes a folder that all workers share: whoever asks first makes it, the others wait."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Callable[[Path], object]) -> Path:
        folder, done = shared / name, shared / f"{name}.done"
        with FileLock(shared / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return made


@pytest.fixture(scope="session")
def studied(once):
    """A folder in which `tests.studied.tiny_study()` has been made; not to be written to."""

    def make(folder: Path) -> None:
        with working_in(folder):
            run_study(tiny_study())

    return once("studied", make)


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
