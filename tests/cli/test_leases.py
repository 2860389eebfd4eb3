"""GPU leases: each slot has one holder at a time, and is free when its holder is gone."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoloss.leases import FOLDER, GPUS, VISIBLE, find_gpus, leased_gpu, parse_gpus
from tests.tiny import ROOT, tiny_config

PLAIN = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa-0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-bbbb-1)
"""
SLICED = """GPU 0: NVIDIA H100 (UUID: GPU-aaaa-0)
  MIG 3g.40gb     Device  0: (UUID: MIG-cccc-2)
  MIG 3g.40gb     Device  1: (UUID: MIG-dddd-3)
GPU 1: NVIDIA H100 (UUID: GPU-bbbb-1)
"""
# A job: take a lease, and at its end count the living that have this GPU, by files with their ids.
# `sys.argv`: jobs per GPU, the folder of these files, seconds to hold it.
JOB = """
import os, sys, time
from pathlib import Path
from autoloss.config import TrainingOptions
from autoloss.leases import leased_gpu

def lives(pid):  # a zombie does not: its parent has not asked after it yet
    try:
        return Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False

per_gpu, folder, seconds = int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
options = TrainingOptions.model_construct(device="cuda", jobs_per_gpu=per_gpu)
with leased_gpu(options, lambda line: None) as gpu:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == gpu
    own = folder / f"{gpu}.{os.getpid()}"
    own.touch()
    print(gpu, flush=True)
    time.sleep(seconds)
    holders = [file for file in folder.glob(f"{gpu}.*") if lives(file.suffix[1:])]
    assert len(holders) <= per_gpu, holders
    own.unlink()
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with GPUs "0" and "1", and no scheduler; the folder of its slots."""
    monkeypatch.delenv(VISIBLE, raising=False)
    monkeypatch.setenv(GPUS, "0,1")
    monkeypatch.setenv(FOLDER, str(tmp_path / "slots"))
    return tmp_path / "slots"


def options(**keys):
    return tiny_config().training.model_copy(update={"device": "auto", "jobs_per_gpu": 1, **keys})


def start(folder: Path, seconds: float, per_gpu: int = 1) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-c", JOB, str(per_gpu), str(folder), str(seconds)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("listed", "gpus"),
    [
        (PLAIN, ["GPU-aaaa-0", "GPU-bbbb-1"]),
        (SLICED, ["MIG-cccc-2", "MIG-dddd-3", "GPU-bbbb-1"]),
        ("No devices found.\n", []),
    ],
)
def test_reads_what_the_driver_lists(listed, gpus):
    assert parse_gpus(listed) == gpus


def test_asks_the_driver(tmp_path, monkeypatch):
    monkeypatch.delenv(GPUS, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_gpus() == []
    driver = tmp_path / "nvidia-smi"
    driver.write_text(f"#!/bin/sh\necho '{PLAIN}'\n")
    driver.chmod(0o755)
    assert find_gpus() == ["GPU-aaaa-0", "GPU-bbbb-1"]
    driver.write_text("#!/bin/sh\nexit 9\n")
    assert find_gpus() == []


def test_spreads_jobs_over_gpus_before_it_doubles_them_up(machine):
    taken = []
    holders = [leased_gpu(options(jobs_per_gpu=2), taken.append) for _ in range(4)]
    gpus = []
    for holder in holders:
        os.environ.pop(VISIBLE, None)  # as in a process of its own
        gpus.append(holder.__enter__())
        assert os.environ[VISIBLE] == gpus[-1]
    assert gpus == ["0", "1", "0", "1"]
    assert taken == []
    for holder in holders:
        os.environ[VISIBLE] = "any"
        holder.__exit__(None, None, None)
    assert VISIBLE not in os.environ


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_leaves_a_chosen_device_alone(machine, device):
    with leased_gpu(options(device=device), print) as gpu:
        assert gpu is None
        assert VISIBLE not in os.environ
    assert not machine.exists()


@pytest.mark.parametrize("given", ["3", ""])
def test_leaves_what_a_scheduler_gave(machine, monkeypatch, given):
    monkeypatch.setenv(VISIBLE, given)
    with leased_gpu(options(), print) as gpu:
        assert gpu is None
        assert os.environ[VISIBLE] == given
    assert os.environ[VISIBLE] == given
    assert not machine.exists()


def test_does_nothing_without_gpus(machine, monkeypatch):
    monkeypatch.setenv(GPUS, "")
    with leased_gpu(options(), print) as gpu:
        assert gpu is None
        assert VISIBLE not in os.environ


def test_a_killed_holder_frees_its_gpu_and_the_one_who_waits_says_so(
    machine, tmp_path, monkeypatch
):
    monkeypatch.setenv(GPUS, "0")
    holder = start(tmp_path / "held", seconds=60)
    assert holder.stdout.readline() == "0\n"
    said = []

    def heard(line):
        said.append(line)
        holder.send_signal(signal.SIGKILL)

    with leased_gpu(options(), heard) as gpu:
        assert gpu == "0"
    holder.communicate()
    assert len(said) == 1
    assert said[0].startswith("All 1 GPU slots are taken")


def test_fifty_contending_jobs_some_killed_never_share_a_slot_and_leak_none(
    machine, tmp_path, monkeypatch
):
    monkeypatch.setenv(GPUS, "0,1,2")
    jobs = [start(tmp_path / "held", seconds=0.1, per_gpu=2) for _ in range(50)]
    doomed = random.Random(0).sample(jobs, 15)
    for job in doomed:
        time.sleep(0.1)
        job.kill()  # before, while or after it holds a lease
    printed = [job.communicate(timeout=120)[0] for job in jobs]
    assert [job.returncode for job in jobs if job not in doomed] == [0] * 35
    assert set("".join(printed).split()) == {"0", "1", "2"}
    free = []  # every slot can be had again
    for _ in range(6):
        os.environ.pop(VISIBLE, None)
        free.append(leased_gpu(options(jobs_per_gpu=2), pytest.fail))
        free[-1].__enter__()
    for lease in free:
        os.environ[VISIBLE] = "any"
        lease.__exit__(None, None, None)


def test_the_command_takes_its_lease_before_torch_is_imported():
    """Else torch could count all GPUs before it is told which one is its own."""
    code = "import sys, autoloss.cli; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
