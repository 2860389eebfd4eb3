"""Trained controllers as untrusted files: are these bytes the controller that a record names?

A `.pt` file is a zip archive with a pickle in it. It is read by torch's restricted unpickler, which
runs no code; what could fill the memory is refused before that.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import torch

from autoloss.errors import RecordError
from autoloss.records.schema import Controller, Record
from autoloss.records.store import MEND, read_limited, read_record
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.training.checkpoint import tensors_digest

MAX_BYTES = 64 * 2**20  # a controller has some thousand parameters


def owns_controller(record: Record) -> bool:
    """Whether a run left a controller of its own, in a file beside its record."""
    return record.controller is not None and record.controller.run_id == record.run_id


def taken_controller(study: Study, cell: Cell, seed: int) -> tuple[Path, Controller] | None:
    """The controller that a frozen method takes of its source's run, as that run left it.

    Raises:
        RecordError: there is no such controller, or its record names another.
    """
    source = study.controller_of(cell)
    if source is None:
        return None
    file, record = study.controller_file(source, seed), study.record_file(source, seed)
    taken = read_record(record)
    if taken.controller is None or not owns_controller(taken):
        mend = f"delete {record} and run snakemake again: {source} is trained anew"
        raise RecordError(str(record), "this run left no controller", mend)
    check_controller(read_limited(file), taken)
    return file, taken.controller


def check_controller(content: bytes, record: Record) -> None:
    """Whether `content`, a controller's file, is what `record` says that its run left.

    Raises:
        RecordError: it is not, or is no such file at all.
    """
    assert record.controller is not None
    where = f"controller of {record.controller.cell} seed {record.controller.seed}"
    try:
        digest = tensors_digest(_weighting(content))
    # Whatever torch, zipfile or pickle think of hostile bytes, it is the same to the user.
    except Exception as error:
        raise RecordError(where, f"is no controller: {str(error)[:200]}", MEND) from error
    if digest != record.controller.sha256:
        raise RecordError(where, "is not the one that its run's record names", MEND)


def _weighting(content: bytes) -> dict[str, Any]:
    """The parameters in a file; ValueError, or anything else, if it is not one of ours."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = archive.infolist()
    if any(info.compress_type != zipfile.ZIP_STORED for info in infos):
        raise ValueError("it is compressed")
    if sum(info.file_size for info in infos) > MAX_BYTES:
        raise ValueError("it unpacks to more than a controller can have")
    weighting = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)["weighting"]
    tensors = [value for value in weighting.values() if isinstance(value, torch.Tensor)]
    # A view can claim any size over one stored number.
    if not tensors or sum(t.numel() * t.element_size() for t in tensors) > MAX_BYTES:
        raise ValueError("its tensors are none, or too large for a controller")
    return dict(weighting)
