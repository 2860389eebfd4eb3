"""What a command is given: its study, the plan that it is a job of, the cell and seeds it names."""

from __future__ import annotations

import os
from pathlib import Path

from autoloss.config import read_overrides, unpack
from autoloss.data.registry import dataset_names
from autoloss.errors import ConfigError, did_you_mean
from autoloss.records.expected import prepared_hash
from autoloss.records.fingerprint import still_the_code
from autoloss.registry import MODELS
from autoloss.study import Cell, Study

HANDED = "AUTOLOSS_STUDY"  # in the environment of Snakemake's jobs: their configuration, packed


def study_of(config: Path | None) -> Study:
    """The study of a file, of the job that this is, or of the defaults."""
    handed = os.environ.get(HANDED)
    if config is None and handed:
        try:
            return Study(unpack(handed))
        except ValueError as error:
            mend = f"`unset {HANDED}`: it is for jobs of snakemake alone"
            raise ConfigError(HANDED, f"is no configuration: {error}", mend) from error
    return Study.planned([config] if config else [], (), Path())


def study_of_plan(config: Path | None, key: str | None) -> Study:
    """The study whose tables, figures or statistics are made; raises as `require_plan`."""
    study = study_of(config)
    require_plan(key, study.report_key)
    if key is None and study.config_file.exists():
        _require_record(study)
    return study


def _require_record(study: Study) -> None:
    """Refuse to overwrite by hand what a workflow made of another configuration."""
    record = study.config_file
    if Study.load(read_overrides([record]), Path()).config != study.config:
        problem = f"is of another configuration than the one asked for: {record} has it"
        mend = "make it with snakemake, under a study.name of its own if both are to stay"
        raise ConfigError(str(study.results), problem, mend)


def require_plan(key: str | None, now: str) -> None:
    """Refuse to make under one key what has another by now: Snakemake would never make it anew.

    Raises:
        ConfigError: `key`, with which Snakemake planned this job, is not the one it has `now`.
    """
    if key not in (None, now):
        raise ConfigError(
            "this job",
            "is not what snakemake planned: code or descriptions have changed since it was started",
            "start snakemake again: it plans anew, and finished runs are kept",
        )


def require_sound(study: Study, cell: Cell) -> None:
    """Look, once the cell's code is imported, whether code and data are what they are taken for.

    Raises:
        ConfigError: the code changed while it was imported.
        DataError, RecordError: the prepared arrays are damaged, or of another description.
    """
    from autoloss.data.prepared import PreparedData
    from autoloss.registry import load

    load(study.base(cell.method))
    if not still_the_code(study.base(cell.method), study.methods):
        raise ConfigError(str(cell), "its code changed while it was imported", "start it again")
    prepared_hash(study, cell.dataset)
    PreparedData.open(study.prepared_folder(cell.dataset)).verify()


def cell_of(study: Study, dataset: str, model: str, method: str) -> Cell:
    """The cell of these names; a ConfigError if one is none's."""
    known = {
        "data set": (dataset, dataset_names(study.root)),
        "model": (model, MODELS),
        "method": (method, [*study.methods, *study.variants]),
    }
    for what, (name, names) in known.items():
        if name not in names:
            raise ConfigError(what, f"there is no '{name}'", did_you_mean(name, names))
    return Cell(dataset, model, method)


def seed_range(text: str) -> tuple[int, int]:
    """First and last seed of `0-11`; a ConfigError if it is no range."""
    try:
        first, last = map(int, text.split("-"))
    except ValueError:
        raise ConfigError("--seeds", f"is '{text}'", "give first and last, as in 0-11") from None
    if first > last:
        raise ConfigError("--seeds", f"'{text}' is empty", "give the smaller seed first")
    return first, last
