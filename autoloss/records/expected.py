"""Is a record of the run that the study asks for? One answer for index, check and merge."""

from __future__ import annotations

from autoloss.data.manifest import MANIFEST, Manifest, read_manifest
from autoloss.errors import DataError, RecordError
from autoloss.records.schema import Record, Search
from autoloss.records.store import read_record
from autoloss.study import Cell, Study
from autoloss.target import snakemake


def prepared_hash(study: Study, dataset: str) -> str | None:
    """The hash of a data set's prepared arrays; None where they are not here (or no more).

    Raises:
        RecordError: they were prepared by another description or code than the study's.
    """
    folder = study.prepared_folder(dataset)
    try:
        manifest = read_manifest(folder, Manifest, "run snakemake")
    except DataError:
        return None
    if manifest.key not in (None, study.preparation_key(dataset)):
        problem = f"was prepared by another description of {dataset}, or by other code"
        raise RecordError(str(folder), problem, f"run `{snakemake(study, str(folder / MANIFEST))}`")
    return manifest.data_hash


def why_not(
    study: Study, cell: Cell, seed: int, record: Record, data_hash: str | None
) -> str | None:
    """Why a sound record is not the study's run of `cell` and `seed`; None if it is.

    `data_hash` is that of the prepared data; None: whatever data the record is of.

    Raises:
        RecordError: that depends on a search, or on a source's record, that cannot be read.
    """
    found, asked = _name(record), (study.config.scale, str(cell), seed)
    if found != asked:
        return f"is of {_said(*found)}, not of {_said(*asked)}"
    data, code = record.provenance.data_hash, study.code(cell.method)
    if data_hash not in (None, data):
        return f"was made on other data: hash {data[:16]}, prepared here {str(data_hash)[:16]}"
    if record.provenance.code != code:
        return f"was made by other code: {record.provenance.code}, it is now {code}"
    run_id = study.run_id(cell, seed, data)
    if record.run_id != run_id:
        return f"is of run {record.run_id}, the configuration asks for {run_id}"
    if (source := study.controller_of(cell)) is not None:
        theirs = read_record(study.record_file(source, seed)).controller
        if record.controller != theirs:
            return f"has taken another controller than the one that {source} has here"
    return None


def why_no_search(study: Study, cell: Cell, found: Search, data_hash: str | None) -> str | None:
    """Why a sound search is not the study's of `cell`; None if it is."""
    if found.cell != str(cell):
        return f"is of {found.cell}, not of {cell}"
    if data_hash not in (None, found.data_hash):
        return "was made on other data than the prepared ones"
    if found.key != study.search_key(cell):
        return "was made with another configuration or by other code"
    return None


def _name(record: Record) -> tuple[str, str, int]:
    return record.scale, str(Cell(record.dataset, record.model, record.method)), record.seed


def _said(scale: str, cell: str, seed: int) -> str:
    return f"{cell} seed {seed} ({scale})"
