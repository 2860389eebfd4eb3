"""Which code, versions and hardware a run had: asked on the worker itself, once per process."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

from autoloss.project import PARTS
from autoloss.records.schema import Provenance

LIBRARIES = ("torch", "numpy", "numba", "scipy", "pandas", "polars", "snakemake")
LOCK = "requirements.lock"


def provenance(*, data_hash: str, code: str, device: torch.device) -> Provenance:
    """The provenance of a run that ends now on `device`."""
    commit, dirty = _git()
    return Provenance(
        data_hash=data_hash,
        code=code,
        commit=commit,
        dirty=dirty,
        lock_hash=_lock_hash(),
        versions={"python": platform.python_version(), **_versions()},
        hardware=_hardware(str(device)),
        deterministic=torch.are_deterministic_algorithms_enabled(),
        threads=torch.get_num_threads(),
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


@cache
def _versions() -> dict[str, str]:
    return {name: version(name) for name in LIBRARIES}


@cache
def _git() -> tuple[str | None, bool | None]:
    """Commit and whether files differ from it; None where there is no checkout.

    Tracked ones anywhere, and where code and configuration are such as are not tracked, too: a
    method that nobody has committed.
    """
    try:
        commit = _run("git", "rev-parse", "HEAD")
        status = ("git", "status", "--porcelain")
        changed = _run(*status, "--untracked-files=no")
        return commit, bool(changed or _run(*status, "--untracked-files=all", "--", *PARTS))
    except (OSError, subprocess.CalledProcessError):
        return None, None


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@cache
def _lock_hash() -> str | None:
    lock = Path(LOCK)
    return hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else None


@cache
def _hardware(device: str) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "device": device,
        "cpu": cpu_name(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": platform.platform(),
    }
    if device.startswith("cuda"):
        properties = torch.cuda.get_device_properties(device)
        facts |= {"gpu": properties.name, "gpu_memory_gb": round(properties.total_memory / 1e9, 1)}
        facts |= {"cuda": torch.version.cuda, "driver": _driver()}
    return facts


def cpu_name() -> str:
    """What the processor calls itself."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def _driver() -> str | None:
    try:
        return _run("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    except (OSError, subprocess.CalledProcessError):
        return None
