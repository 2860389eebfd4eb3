"""State on disk: in one file, replaced atomically, read without running code; and its digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
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


def tensors_digest(*states: Mapping[str, Any]) -> str:
    """SHA-256 over the names and bytes of the tensors of `states`, whatever else they hold."""
    digest = hashlib.sha256()
    for state in states:
        for name, value in sorted(state.items()):
            if isinstance(value, torch.Tensor):
                digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()
