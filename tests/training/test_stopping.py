"""Runs that are stopped, killed beside each other or short of disk: nothing lost, nothing half."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from autoloss.config import overlay
from autoloss.errors import MachineError
from autoloss.lock import sole_holder
from autoloss.methods.load import load
from autoloss.records.chosen import run_id_of
from autoloss.records.store import read_record, write_bytes
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.training import checkpoint
from autoloss.training.loop import Trainer
from autoloss.training.runner import Runner
from tests.studied import working_in
from tests.tiny import ROOT, TASKS, tiny_config, tiny_data, tiny_splits
from tests.workflow.project import Project

CELL = Cell("ml100k-ctr", "deepfm", "autoloss")
CPU = torch.device("cpu")


def silent(line: str) -> None:
    """No report."""


def small_study(root: Path = ROOT, **training: object) -> Study:
    return Study(overlay(tiny_config(**training), {"study": {"seeds": 1}}, "test"), root)


@pytest.fixture
def project(tmp_path):
    """A project with tiny data, for commands to run in."""
    Project(tmp_path)
    with working_in(tmp_path):
        study = small_study(Path(), max_epochs=60, patience=60, checkpoint_seconds=0)
        tiny_splits(study, CELL.dataset, TASKS["binary"])
        study.write_config()
    return tmp_path


@dataclass
class Job:
    """`autoloss train`, with what it says in a file."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def wait_until_it_says(self, text: str) -> None:
        deadline = time.monotonic() + 300  # a loaded machine; only what hangs is ended
        while text not in self.said:
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)

    def end(self) -> int:
        return self.process.wait(timeout=300)


@pytest.fixture
def train(project):
    """Starts jobs; at the end none is left."""
    jobs: list[Job] = []

    def start() -> Job:
        log = project / f"{len(jobs)}.log"
        command = ["autoloss", "train", *str(CELL).split("/"), "--seeds", "0-0"]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", *command, "--config", "results/smoke/config.json"],
                cwd=project,
                env=Project(project).environment(),
                stderr=stream,
            )
        jobs.append(Job(process, log))
        return jobs[-1]

    yield start
    for job in jobs:
        job.process.kill()
        job.process.wait()


def test_a_signal_stops_with_status_75_and_the_run_goes_on_to_the_same_bits(project, train):
    first = train()
    first.wait_until_it_says(": epoch 3:")
    first.process.send_signal(signal.SIGTERM)
    assert first.end() == 75, first.said
    assert "run it again" in first.said
    record = project / small_study().record_file(CELL, 0)
    assert not record.exists()
    second = train()
    assert second.end() == 0, second.said
    assert 0 < second.said.count(": epoch ") <= 57  # it went on, and did not begin anew
    stopped = read_record(record)
    assert not list(record.parent.glob(".state/*"))
    shutil.rmtree(record.parent)
    assert train().end() == 0
    assert read_record(record).digest == stopped.digest


def test_two_processes_make_a_run_once(project, train):
    study = small_study()
    lock = (project / study.state_file(CELL, "seed_0")).with_suffix(".lock")
    with sole_holder(lock, silent):  # until both are there: either may start much later
        both = [train(), train()]
        for job in both:
            job.wait_until_it_says(f"another process has it (process {os.getpid()} ")
    assert [job.end() for job in both] == [0, 0], [job.said for job in both]
    assert sum("already done" in job.said for job in both) == 1
    assert sum(job.said.count(": epoch ") for job in both) == 60


def test_what_a_kill_left_half_written_is_removed_by_the_next_run(tmp_path, monkeypatch):
    study = small_study(checkpoint_seconds=0)
    monkeypatch.chdir(tmp_path)
    data = tiny_data(study.prepared_folder(CELL.dataset, 0), TASKS["binary"])
    state = study.state_file(CELL, run_id_of(study, CELL, 0, data.data_hash))
    record = study.record_file(CELL, 0)
    here, dead = socket.gethostname(), 2**22 + 1  # above the largest number of a process
    left = [
        state.with_name(f".{file.name}.{host}.{process}.tmp")
        for file in (state, state.with_suffix(".refit.pt"))
        for host, process in ((here, dead), ("another", 1))
    ]
    left.append(record.with_name(f".{record.name}.{here}.{dead}.tmp"))
    theirs = state.with_name(f".0123456789abcdef.pt.{here}.{dead}.tmp")  # another run's
    for file in (*left, theirs):
        write_bytes(b"half", file)
    Runner(study, silent).train_seed(CELL, 0, data)
    assert not any(file.exists() for file in left)
    assert theirs.exists()


def test_a_writer_removes_what_dead_ones_left_and_no_other(tmp_path):
    here, dead = socket.gethostname(), 2**22 + 1
    names = {f".table.csv.{here}.{dead}.tmp": False, f".table.csv.{here}.{os.getppid()}.tmp": True}
    names |= {f".table.csv.another.{dead}.tmp": True, f".other.csv.{here}.{dead}.tmp": True}
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    write_bytes(b"whole", tmp_path / "table.csv")
    assert {name: (tmp_path / name).exists() for name in names} == names


def test_waiting_for_a_lock_can_be_stopped(project, train):
    study = small_study()
    lock = (project / study.state_file(CELL, "seed_0")).with_suffix(".lock")
    with sole_holder(lock, silent):
        waiting = train()
        waiting.wait_until_it_says("waiting for it")
        waiting.process.send_signal(signal.SIGTERM)
        assert waiting.end() == 75


def test_the_lock_of_a_dead_process_is_free(tmp_path):
    path = tmp_path / "run.lock"
    code = (
        "import sys, time; from pathlib import Path; from autoloss.lock import sole_holder\n"
        "with sole_holder(Path(sys.argv[1]), print):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    about = json.loads((tmp_path / "run.lock.owner").read_text())
    assert about["pid"] == holder.pid
    holder.kill()
    holder.communicate()
    said: list[str] = []
    with sole_holder(path, said.append):
        assert said == []


@pytest.mark.parametrize("damage", [b"", b"nothing of ours", None])
def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(damage, tiny, stops):
    def trainer(report=silent):
        config = tiny_config(checkpoint_seconds=0)
        return Trainer(
            config, tiny["binary"], "deepfm", load("autoloss"), 0, state=stops.file, report=report
        )

    whole = trainer()
    expected = (whole.run(), whole.weights_digest())
    checkpoint.remove(stops.file)
    stops.at(7, trainer())
    newest = stops.file.read_bytes()
    stops.file.write_bytes(newest[: len(newest) // 2] if damage is None else damage)
    said: list[str] = []
    resumed = trainer(said.append)
    assert resumed.progress.steps == 6
    assert "is damaged and removed" in said[0]
    assert not stops.file.exists()
    assert (resumed.run(), resumed.weights_digest()) == expected
    for left in stops.file.parent.glob("*.pt"):
        left.write_bytes(b"")
    assert trainer().progress.steps == 0


@pytest.mark.parametrize(("number", "mend"), [(errno.ENOSPC, "make room"), (errno.EIO, "disk")])
def test_a_full_disk_is_an_error_and_no_failed_run(number, mend, tmp_path, monkeypatch):
    study = small_study(checkpoint_seconds=0)
    monkeypatch.chdir(tmp_path)
    data = tiny_data(study.prepared_folder(CELL.dataset, 0), TASKS["binary"])
    write_bytes, writes = Path.write_bytes, []

    def failing(self, content):
        writes.append(self)
        if len(writes) > 4:
            write_bytes(self, bytes(content)[:100])
            raise OSError(number, os.strerror(number))  # as write(2) fails: it knows no name
        return write_bytes(self, content)

    monkeypatch.setattr(Path, "write_bytes", failing)
    with pytest.raises(MachineError, match=rf"(?s)results/smoke.*To mend it: .*{mend}"):
        Runner(study, silent).train_seed(CELL, 0, data)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    folder = study.cell_folder(CELL)
    assert not list(folder.rglob("*.tmp"))
    assert not study.record_file(CELL, 0).exists()
    said: list[str] = []
    record = Runner(study, said.append).train_seed(CELL, 0, data)
    assert record.status == "ok"
    assert not any("damaged" in line for line in said)


@pytest.mark.parametrize(
    "error", [RuntimeError("a baseline's"), ZeroDivisionError("division by zero"), KeyError("w")]
)
@pytest.mark.parametrize("where", ["__init__", "inner_step", "evaluate"])
def test_a_methods_error_is_a_failed_run(error, where, tmp_path, monkeypatch):
    study = small_study()
    monkeypatch.chdir(tmp_path)
    data = tiny_data(study.prepared_folder(CELL.dataset, 0), TASKS["binary"])

    def raising(*args, **kwargs):
        raise error

    monkeypatch.setattr(Trainer, where, raising)
    record = Runner(study, silent).train_seed(CELL, 0, data)
    assert record.status == "failed"
    assert record.failure is not None
    assert record.failure.kind == type(error).__name__
    assert f"{error}" in record.failure.traceback
    assert read_record(study.record_file(CELL, 0)).failure == record.failure


def test_a_checkpoint_that_memory_does_not_hold_is_kept(tiny, stops, monkeypatch):
    config = tiny_config(checkpoint_seconds=0)
    arguments = (config, tiny["binary"], "deepfm", load("autoloss"), 0)
    stops.at(7, Trainer(*arguments, state=stops.file))

    def out_of_memory(*args, **kwargs):
        raise torch.cuda.OutOfMemoryError("CUDA")

    monkeypatch.setattr(torch, "load", out_of_memory)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        Trainer(*arguments, state=stops.file)
    monkeypatch.undo()
    assert Trainer(*arguments, state=stops.file).progress.steps == 7
