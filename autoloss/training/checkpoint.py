"""State on disk: in one file, replaced atomically, read without running code; and its digest."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from autoloss.records.store import remove_temporaries, write_bytes


def save(state: dict[str, Any], file: Path) -> None:
    """Write `state` (tensors, numbers, strings, containers of these) to `file`, whole or not."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_bytes(buffer.getbuffer(), file)


def load(file: Path, device: torch.device) -> dict[str, Any]:
    """The state in `file`, with its tensors on `device`."""
    content = io.BytesIO(file.read_bytes())  # torch's own reader tells no bad disk from a bad file
    state: dict[str, Any] = torch.load(content, map_location=device, weights_only=True)
    return state


def save_next(state: dict[str, Any], file: Path) -> None:
    """As `save`, and what `file` held before is kept as the one before it."""
    if file.exists():
        os.replace(file, _before(file))
    save(state, file)


def load_last(
    file: Path, device: torch.device, report: Callable[[str], None]
) -> dict[str, Any] | None:
    """What `save_next` wrote last; the one before it where that is damaged; None where both are.

    A damaged one is removed: the next `save_next` would put it in the place of the sound one.
    """
    for place in (file, _before(file)):
        if not place.exists():
            continue
        try:
            return load(place, device)
        except (MemoryError, torch.OutOfMemoryError, OSError):
            raise  # says nothing of the file's content
        except Exception as error:  # zip, pickle, tensors: damage shows itself anywhere
            what = str(error).partition("\n")[0]
            report(f"the checkpoint {place} is damaged and removed ({what})")
            place.unlink()
    return None


def remove(file: Path) -> None:
    """Both checkpoints of `save_next`, and what a kill in the middle of one left."""
    remove_temporaries(file)
    for place in (file, _before(file)):
        place.unlink(missing_ok=True)


def _before(file: Path) -> Path:
    return file.with_suffix(".before.pt")


def tensors_digest(*states: Mapping[str, Any]) -> str:
    """SHA-256 over the names and bytes of the tensors of `states`, whatever else they hold."""
    digest = hashlib.sha256()
    for state in states:
        for name, value in sorted(state.items()):
            if isinstance(value, torch.Tensor):
                digest.update(name.encode() + value.cpu().numpy().tobytes())
    return digest.hexdigest()
