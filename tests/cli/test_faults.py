"""Faults of the machine stop a job and are no results; whatever is met, no number is wrong."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numba import types

from autoloss.config import overlay
from autoloss.errors import MachineError, UserError
from autoloss.faults import fault_in, machine_faults
from autoloss.ops.kernels import runtime
from autoloss.ops.kernels.cache import compiled
from autoloss.records.schema import raised
from autoloss.records.store import read_record, read_search
from autoloss.search.run import search
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.training.loop import Trainer, TrainingDivergedError
from autoloss.training.runner import Runner
from tests.studied import working_in
from tests.tiny import ROOT, TASKS, tiny_config, tiny_splits

CELL, SEARCHED = (Cell("ml100k-ctr", "deepfm", name) for name in ("autoloss", "bohb"))
NAMES = ("EIO", "ENOSPC", "EFBIG", "EACCES", "EMFILE", "EROFS", "ESTALE", "EDQUOT")
ERRNOS = [getattr(errno, name) for name in NAMES]


@dataclass
class Disk:
    """Counts the file operations of this process in the current folder; the `fails`th fails."""

    fails: int = -1
    number: int = errno.EIO
    met: list[str] = field(default_factory=list)

    def operation(self, event: str, path: object) -> None:
        """Fail if it is this one's turn."""
        if isinstance(path, str | os.PathLike) and str(Path.cwd()) in os.path.abspath(path):
            self.met.append(f"{event} {path}")
            if len(self.met) == self.fails + 1:
                raise OSError(self.number, os.strerror(self.number), str(path))


_disks: list[Disk] = []
EVENTS = {"open", "os.rename", "os.remove", "os.mkdir", "os.scandir", "os.listdir"}


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _disks and event in EVENTS:
        disk = _disks.pop()  # what it does itself does not count
        try:
            disk.operation(event, arguments[0])
        finally:
            _disks.append(disk)


@pytest.fixture(scope="module", autouse=True)
def audited():
    """Python tells of every file operation before it is done; a hook stays for good."""
    sys.addaudithook(_audit)


@contextmanager
def disk_of(disk: Disk) -> Iterator[None]:
    """Within it, files are on this disk: a write that fails has written half."""
    write_bytes = Path.write_bytes

    def writing(path: Path, content: bytes) -> int:
        try:
            disk.operation("write", path)
        except OSError:
            write_bytes(path, bytes(content)[: len(content) // 2])
            raise
        return write_bytes(path, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", writing)
        _disks.append(disk)
        try:
            yield
        finally:
            _disks.clear()


def small_study(**training: object) -> Study:
    config = tiny_config(checkpoint_seconds=0, max_epochs=1, **training)
    over = {"study": {"seeds": 1}, "tuning": {"trials": 2}}
    return Study(overlay(config, over, "test"), ROOT)


def silent(line: str) -> None:
    """No report."""


def train() -> str | None:
    """The digest of a run."""
    study = small_study()
    Runner(study, silent).train_shard(CELL, 0, 0)
    record = read_record(study.record_file(CELL, 0))
    assert record.status == "ok"
    return record.digest


def find() -> list[object]:
    """The values of a search's trials and what it chose."""
    study = small_study()
    made = read_search(search(study, SEARCHED, silent))
    return [[trial.values for trial in made.trials], made.chosen]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("faults")
    with working_in(made):
        tiny_splits(small_study(), CELL.dataset, TASKS["binary"])
    return made


@pytest.fixture(autouse=True)
def kept_denormal_numbers(denormal_numbers, monkeypatch):
    """Hypothesis draws from them, between two jobs in this process."""
    monkeypatch.setattr(torch, "set_flush_denormal", lambda mode: True)


@pytest.fixture(scope="module")
def clean(folder) -> dict[Callable[[], object], tuple[object, int]]:
    """What each job gives undisturbed, and its file operations."""
    results = {}
    with working_in(folder):
        for job in (train, find):
            job()  # imports and compiled kernels are none of it
            shutil.rmtree("results")
            disk = Disk()
            with disk_of(disk):
                result = job()
            results[job] = result, len(disk.met)
    return results


@pytest.mark.parametrize("job", [train, find])
@given(where=st.floats(0, 1, exclude_max=True), number=st.sampled_from(ERRNOS))
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_fault_at_any_file_operation_is_an_error_or_harmless(job, where, number, folder, clean):
    expected, operations = clean[job]
    assert operations > 20
    with working_in(folder):
        shutil.rmtree("results", ignore_errors=True)
        disk = Disk(int(where * operations), number)
        try:
            with disk_of(disk):
                assert job() == expected, disk.met[disk.fails]
        except UserError:
            records = Path("results").rglob("seed_*.json")
            assert all(read_record(file).status == "ok" for file in records), disk.met[-1]
        assert job() == expected, disk.met[disk.fails]
        assert not list(Path("results").rglob("*.tmp"))


def wrapped(error: Exception) -> Exception:
    """As a library raises it."""
    try:
        raise RuntimeError("it did not work") from error
    except RuntimeError as outer:
        return outer


OF_THE_MACHINE = [
    *(OSError(number, os.strerror(number)) for number in ERRNOS),
    MemoryError(),
    torch.OutOfMemoryError("CUDA out of memory"),
    ModuleNotFoundError("No module named 'optuna'"),
    EOFError("Ran out of input"),
    pickle.UnpicklingError("invalid load key"),
    RuntimeError("CUDA error: unspecified launch failure"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.parametrize("where", ["__init__", "inner_step", "evaluate"])
@given(error=st.sampled_from([*OF_THE_MACHINE, *map(wrapped, OF_THE_MACHINE)]))
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_fault_of_the_machine_is_no_failed_run(where, error, folder):
    def raising(*args: object, **kwargs: object) -> None:
        raise error

    with working_in(folder), pytest.MonkeyPatch.context() as patch:
        shutil.rmtree("results", ignore_errors=True)
        patch.setattr(Trainer, where, raising)
        for job in (train, find) if where == "__init__" else (train,):
            with pytest.raises(MachineError, match=r"(?s)To mend it: .*run the command again"):
                job()
        assert not list(Path("results").rglob("seed*.json"))
        assert not list(Path("results").rglob("search.json"))


@pytest.mark.parametrize("error", [ValueError("1"), RuntimeError("mat1 and mat2"), KeyError("w")])
def test_a_methods_own_error_is_left_to_it(error):
    assert fault_in(error) is None
    with pytest.raises(type(error)), machine_faults("here"):
        raise error


def test_to_diverge_is_no_error_and_to_raise_is(folder, monkeypatch):
    def failing(error: Exception) -> bool:
        study = small_study()
        monkeypatch.setattr(Trainer, "run", lambda self: (_ for _ in ()).throw(error))
        Runner(study, silent).train_shard(CELL, 0, 0)
        return raised(read_record(study.record_file(CELL, 0)))

    with working_in(folder):
        shutil.rmtree("results", ignore_errors=True)
        assert failing(ZeroDivisionError("division by zero"))
        assert not failing(TrainingDivergedError("training loss is nan"))
        monkeypatch.undo()
        train()
        record = read_record(small_study().record_file(CELL, 0))
        assert not raised(record)


def doubling(a):
    """A kernel."""
    a[0] = 2 * a[0]


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "one bit": lambda content: content[:-100] + bytes([content[-100] ^ 1]) + content[-99:],
    "of another kind": lambda content: pickle.dumps("something else"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_kernel_cache_is_made_anew(damage, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime.config, "CACHE_DIR", str(tmp_path))
    signature = types.void(types.CPointer(types.int64))
    assert compiled(doubling, signature, {}).cache_hits == 0
    assert compiled(doubling, signature, {}).cache_hits == 1
    (file,) = tmp_path.rglob("*.nbc")
    whole = file.read_bytes()
    file.write_bytes(DAMAGES[damage](whole))
    assert compiled(doubling, signature, {}).cache_hits == 0
    assert compiled(doubling, signature, {}).cache_hits == 1


def test_a_cache_that_cannot_be_written_costs_a_compilation(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime.config, "CACHE_DIR", str(tmp_path))

    def refusing(path: Path, content: bytes) -> int:
        raise OSError(errno.EROFS, "read-only")

    monkeypatch.setattr(Path, "write_bytes", refusing)
    signature = types.void(types.CPointer(types.int64))
    assert compiled(doubling, signature, {}).address
    assert not list(tmp_path.rglob("*.nbc*"))
