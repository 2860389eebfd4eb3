"""Where a run computes, and how repeatably: device, threads, deterministic algorithms."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from contextlib import suppress
from math import prod

import torch

from autoloss.config import TrainingOptions
from autoloss.errors import ConfigError

# The constants of malloc.h: trim threshold and top pad in bytes, and how many blocks may be mapped
# by themselves, which go back to the system whenever they are freed.
_MALLOC = {-1: 1 << 30, -2: 1 << 26, -4: 0}


def select_device(name: str) -> torch.device:
    """The device of a config: `auto` is the GPU if there is one, else the CPU."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "training.device", f"is '{name}', and torch sees no GPU", "set it to cpu or auto"
        )
    return device


def make_deterministic(options: TrainingOptions) -> None:
    """Fix threads and algorithms of this process: same seed, same machine class, same bits.

    Call it before torch computes anything, as `train` and `search` do: threads that exist already
    keep denormal numbers.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts
    torch.set_deterministic_debug_mode("error")
    # Filling fresh memory is a debugging aid that costs 15 % of a step.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    # A converged controller's derivatives are below 1e-38, where a product takes Intel's processors
    # up to 240 times as long. Threads take the mode over from the one that starts them.
    torch.set_flush_denormal(True)
    torch.set_num_threads(options.threads)


def keep_freed_memory() -> None:
    """Have glibc keep what is freed: else a step faults its arrays in anew, a fifth of its time."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, value in _MALLOC.items():
            mallopt(option, value)


def large_zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Zeros that are read and written here and there: on Linux in pages of 2 MB, if there are any.

    A row in a large table of small pages waits for the page table as long as for the row.
    """
    size = prod(shape) * dtype.itemsize
    if device.type != "cpu" or not size or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.zeros(shape, dtype=dtype, device=device)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel without them
        pages.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(pages, dtype=dtype).view(shape)
