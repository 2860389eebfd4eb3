"""Checkpoints: a run's whole state in one file, replaced atomically, read without running code."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


def save(state: dict[str, Any], file: Path) -> None:
    """Write `state` (tensors, numbers, strings, containers of these) to `file`, whole or not."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    try:
        torch.save(state, temporary)
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def load(file: Path, device: torch.device) -> dict[str, Any]:
    """The state in `file`, with its tensors on `device`."""
    state: dict[str, Any] = torch.load(file, map_location=device, weights_only=True)
    return state
