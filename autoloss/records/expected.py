"""Is a record of the run that the study asks for? One answer for index, check and merge."""

from __future__ import annotations

from autoloss.data.manifest import MANIFEST, Manifest, read_manifest
from autoloss.errors import DataError, RecordError, UserError
from autoloss.records.chosen import controller_run, run_id_of
from autoloss.records.schema import Record, Search
from autoloss.records.store import read_record
from autoloss.study import identity
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.target import snakemake


def prepared_hash(study: Study, dataset: str, split: int) -> str | None:
    """The hash of a split's prepared arrays; None, and errors, as `prepared` has them."""
    manifest = prepared(study, dataset, split)
    return manifest.data_hash if manifest else None


def prepared(study: Study, dataset: str, split: int) -> Manifest | None:
    """What a split's prepared arrays are; None where they are not here (or no more).

    Raises:
        RecordError: they were prepared by another description or code than the study's, or are of
            another split.
    """
    folder = study.prepared_folder(dataset, split)
    try:
        manifest = read_manifest(folder, Manifest, "run snakemake")
    except DataError:
        return None
    if manifest.key not in (None, identity.preparation_key(study, dataset)):
        problem = f"was prepared by another description of {dataset}, or by other code"
        raise RecordError(str(folder), problem, f"run `{snakemake(study, str(folder / MANIFEST))}`")
    if (manifest.dataset, manifest.split) != (dataset, split):
        problem = f"holds split {manifest.split} of {manifest.dataset}"
        mend = f"delete it, then run `{snakemake(study, str(folder / MANIFEST))}`"
        raise RecordError(str(folder), problem, mend)
    return manifest


def why_not(
    study: Study, cell: Cell, seed: int, record: Record, data_hash: str | None
) -> str | None:
    """Why a sound record is not the study's run of `cell` and `seed`; None if it is.

    `data_hash` is that of the split as prepared; None: whatever data the record is of.
    """
    found, asked = _name(record), (study.config.scale, str(cell), seed)
    if found != asked:
        return f"is of {_said(*found)}, not of {_said(*asked)}"
    if record.split != (split := study.split_of(seed)):
        return f"is of split {record.split}, not of split {split}"
    data, code = record.provenance.data_hash, identity.code(study, cell)
    if data_hash not in (None, data):
        return f"was made on other data: hash {data[:16]}, prepared here {str(data_hash)[:16]}"
    if record.provenance.code != code:
        return f"was made by other code: {record.provenance.code}, it is now {code}"
    source = study.controller_of(cell)
    try:
        run_id = run_id_of(study, cell, seed, data)
        theirs = read_record(study.record_file(source, seed)).controller if source else None
    except UserError as error:
        return f"depends on {error.where}, which {error.problem}"
    if record.run_id != run_id:
        return f"is of run {record.run_id}, the configuration asks for {run_id}"
    if source and record.controller != theirs:
        return f"has taken another controller than the one that {source} has here"
    return None


def over_budget(study: Study, cell: Cell, record: Record) -> str | None:
    """What a run, or the search before it, trained more than it may; None if nothing."""
    had = record.budget
    for where, epochs, allowed in (
        ("a run", had.epochs, study.epoch_budget(cell.method)),
        ("its search", had.search_epochs, study.search_budget(cell)),
    ):
        if epochs > allowed:
            return f"trained {epochs} epochs in {where}, {allowed} are allowed"
    return None


def why_no_search(study: Study, cell: Cell, found: Search, data_hash: str | None) -> str | None:
    """Why a sound search is not the study's of `cell`; None if it is."""
    if found.cell != str(cell):
        return f"is of {found.cell}, not of {cell}"
    if data_hash not in (None, found.data_hash):
        return "was made on other data than the prepared ones"
    if found.key != identity.search_key(study, cell):
        return "was made with another configuration or by other code"
    if found.epochs > study.search_budget(cell):
        return f"trained {found.epochs} epochs, more than it may"
    if found.chosen not in [trial.assignment for trial in found.trials]:
        return "chose what it never tried"
    try:
        study.with_assignment(cell.method, found.chosen, str(cell))
    except UserError as error:
        return f"chose what cannot be: {error.problem}"
    try:
        controller = controller_run(study, cell)
    except UserError as error:
        return f"depends on {error.where}, which {error.problem}"
    if found.controller != controller:
        return f"took another controller than the one that {study.controller_of(cell)} has here"
    return None


def _name(record: Record) -> tuple[str, str, int]:
    return record.scale, str(Cell(record.dataset, record.model, record.method)), record.seed


def _said(scale: str, cell: str, seed: int) -> str:
    return f"{cell} seed {seed} ({scale})"
