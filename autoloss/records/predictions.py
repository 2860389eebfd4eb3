"""Test predictions that every run keeps, so that any other metric can be computed from them.

`seed_N.predictions.npz` beside a run's record has `logits`: float32, `[n]` for two classes and
`[n, C]` for more, as the model gave them, row by row as the prepared split has its test rows; and
`calibration`, the map that was fitted on validation (`Calibrator.affine`), which a run that has
trained on validation lacks. Labels and clusters are the split's (`PreparedData`).
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from autoloss.data.load.prepared import Ints, verified
from autoloss.errors import RecordError
from autoloss.records.schema import Record
from autoloss.records.store import MEND, read_limited, read_record, write_bytes
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.task import Task

Logits = npt.NDArray[np.float32]
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Of a run, row by row of its test split: logits `[n]` or `[n, C]`, labels `[n]`, and which
    cluster (user) each row is of, `[n]`, if the data set has clusters."""

    logits: Logits
    calibration: Array | None
    labels: Ints
    clusters: Ints | None


def write_predictions(
    logits: npt.NDArray[np.floating], calibration: Array | None, file: Path
) -> str:
    """Write a run's predictions, atomically; returns SHA-256 of the file."""
    arrays: dict[str, npt.NDArray[np.floating]] = {"logits": logits.astype(np.float32)}
    if calibration is not None:
        arrays["calibration"] = calibration
    stream = io.BytesIO()
    np.savez_compressed(stream, allow_pickle=False, **arrays)
    content = stream.getvalue()
    write_bytes(content, file)
    return hashlib.sha256(content).hexdigest()


def max_bytes(study: Study, cell: Cell, rows: int) -> int:
    """The most that a file of a run's predictions of so many test rows can have.

    What does not compress grows by less than a thousandth; the rest is for names and calibration.
    """
    logits = 4 * rows * Task(study.dataset(cell.dataset).task.classes).outputs
    return logits + logits // 1000 + 2**20


def read(file: Path) -> tuple[Logits, Array | None]:
    """The logits in a file of predictions, `[n]` or `[n, C]`, and their calibration.

    Raises:
        RecordError: it is missing, or no such file.
    """
    return _parse(read_limited(file, None), str(file))


def read_run(study: Study, cell: Cell, seed: int) -> Predictions:
    """What a run of the study put out for its test split, with what it should have.

    Raises:
        RecordError: the record or the predictions are missing, damaged, or of two runs; or the run
            is of another split than the study's.
        DataError: the split that the run was judged on is not prepared, or not as it was.
    """
    where, file = study.record_file(cell, seed), study.predictions_file(cell, seed)
    record, split = read_record(where), study.split_of(seed)
    if record.split != split:
        raise RecordError(str(where), f"is of split {record.split}, not of split {split}", MEND)
    data = verified(study.prepared_folder(cell.dataset, split))
    content = read_limited(file, max_bytes(study, cell, data.manifest.splits["test"]))
    check_predictions(content, record, str(file))
    logits, calibration = _parse(content, str(file))
    if data.data_hash != record.provenance.data_hash:
        raise RecordError(str(file), f"is of other data than those in {data.folder}", MEND)
    _, labels = data.split("test")
    if len(logits) != len(labels):
        raise RecordError(str(file), f"has {len(logits)} rows, expected {len(labels)}", MEND)
    return Predictions(logits, calibration, labels, data.clusters())


def check_predictions(content: bytes, record: Record, where: str) -> None:
    """Whether `content`, a file of predictions, is what `record` says that its run kept.

    Raises:
        RecordError: it is not.
    """
    if hashlib.sha256(content).hexdigest() != record.predictions:
        raise RecordError(where, "are not the predictions that the run's record names", MEND)


def _parse(content: bytes, where: str) -> tuple[Logits, Array | None]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return np.asarray(arrays["logits"], dtype=np.float32), arrays.get("calibration")
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise RecordError(where, f"holds no predictions: {error}", MEND) from error
