"""GPU leases: on one machine, at most `training.jobs_per_gpu` jobs share a GPU.

Snakemake counts GPUs and hands out none, so each job takes a slot of one here and sees that GPU
alone. A slot is a file that its holder has locked: the kernel frees it when the holder ends, in
whatever way. Imports no torch: what a process may see is settled before CUDA starts.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from autoloss.config import TrainingOptions
from autoloss.faults import machine_faults

VISIBLE = "CUDA_VISIBLE_DEVICES"
GPUS = "AUTOLOSS_GPUS"  # names of the GPUs to use, instead of asking the driver: "0,1"
FOLDER = "AUTOLOSS_LEASES"  # where the slots are, instead of a folder of the user's own
POLL_SECONDS = 0.2


@contextmanager
def leased_gpu(options: TrainingOptions, say: Callable[[str], None]) -> Iterator[str | None]:
    """Hold a GPU during the block, waiting for one if need be; gives its name.

    Gives None and changes nothing if the device is the CPU or a GPU chosen by number, if a
    scheduler has already set CUDA_VISIBLE_DEVICES, or if there is no GPU.
    """
    wanted = options.device in ("auto", "cuda") and VISIBLE not in os.environ
    gpus = find_gpus() if wanted else []
    if not gpus:
        yield None
        return
    folder = _folder()
    with machine_faults(folder):
        gpu, lock = _take(gpus, options.jobs_per_gpu, folder, say)
    os.environ[VISIBLE] = gpu
    try:
        yield gpu
    finally:
        del os.environ[VISIBLE]
        lock.release()


def find_gpus() -> list[str]:
    """The GPUs of this machine, by names that CUDA_VISIBLE_DEVICES takes; MIG slices one by one."""
    if (named := os.environ.get(GPUS)) is not None:
        return [name.strip() for name in named.split(",") if name.strip()]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []  # no driver, or none that works: torch says so if a GPU was asked for
    return parse_gpus(listed.stdout)


def parse_gpus(listed: str) -> list[str]:
    """The UUIDs in what `nvidia-smi -L` prints; a GPU with MIG slices stands for these."""
    gpus: list[list[str]] = []
    for line in listed.splitlines():
        if uuid := re.search(r"\(UUID: (\S+?)\)", line):
            if line.startswith("GPU"):
                gpus.append([])
            gpus[-1].append(uuid[1])
    return [name for gpu, *slices in gpus for name in (slices or [gpu])]


def _take(
    gpus: Sequence[str], per_gpu: int, folder: Path, say: Callable[[str], None]
) -> tuple[str, FileLock]:
    """Lock a free slot: the first ones of all GPUs before the second ones."""
    folder.mkdir(parents=True, exist_ok=True)
    slots = [(gpu, folder / f"{gpu}.{slot}") for slot in range(per_gpu) for gpu in gpus]
    waiting = False
    while True:
        for gpu, file in slots:
            lock = FileLock(file, fallback_to_soft=False)
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            return gpu, lock
        if not waiting:
            say(f"All {len(slots)} GPU slots are taken (locks in {folder}); waiting for one")
            waiting = True
        time.sleep(POLL_SECONDS)


def _folder() -> Path:
    """One for all projects of a user on this machine: their jobs share its GPUs."""
    own = Path(tempfile.gettempdir()) / f"autoloss-leases-{os.getuid()}"
    return Path(os.environ.get(FOLDER, own))
