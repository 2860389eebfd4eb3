"""What a command is given: its study, the plan that it is a job of, the cell and seeds it names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from autoloss.config import unpack
from autoloss.errors import ConfigError, require_known
from autoloss.models import MODELS
from autoloss.records.expected import prepared_hash
from autoloss.study import identity
from autoloss.study.cell import Cell
from autoloss.study.kept import require_kept
from autoloss.study.planned import plan_study
from autoloss.study.study import Study
from autoloss.target import is_recorded

if TYPE_CHECKING:
    from autoloss.data.load.prepared import PreparedData

Named = Annotated[
    str | None,
    typer.Option("--study", help="One that was run, by its name: as results/NAME/config.json has."),
]
HANDED = "AUTOLOSS_STUDY"  # in the environment of Snakemake's jobs: their configuration, packed


def study_of(
    config: Path | None,
    scale: str | None = None,
    root: Path = Path(),
    *,
    name: str | None = None,
    dataset: str | None = None,
) -> Study:
    """The study of a file, a scale or a name; without any of the job that this is, or the default.

    `dataset`: as for `plan_study`.

    Raises:
        ConfigError: two are given, the file is no configuration, or no study of that name was run.
    """
    options = {"--config": config, "--scale": scale, "--study": name}
    first, *others = [*(option for option, value in options.items() if value is not None), ""]
    if others[:-1]:
        raise ConfigError(others[0], f"is given beside {first}", "leave out one of them")
    if name is not None:
        config = recorded_as(name)
    handed = os.environ.get(HANDED)
    if config is None and scale is None and handed:
        try:
            return Study(unpack(handed))
        except ValueError as error:
            mend = f"`unset {HANDED}`: it is for jobs of snakemake alone"
            raise ConfigError(HANDED, f"is no configuration: {error}", mend) from error
    arguments = [f"scale={scale}"] if scale else []
    return plan_study([config] if config else [], arguments, root, dataset)


def recorded_as(name: str) -> Path:
    """The configuration with which the study of a name was last run.

    Raises:
        ConfigError: none of that name was.
    """
    known = {file.parent.name: file for file in Path("results").glob("*/config.json")}
    require_known([name], known or ["(none has been run)"], "study", "--study")
    return known[name]


def study_of_plan(config: Path | None, key: str | None, name: str | None = None) -> Study:
    """The study whose tables, figures or statistics are made; raises as `require_plan`.

    Raises:
        ConfigError: by hand (no key), over what a workflow made of another configuration.
    """
    study = study_of(config, name=name)
    require_plan(key, identity.report_key(study))
    if key is None and is_recorded(study) is False:
        record = study.config_file
        problem = f"is of another configuration than the one asked for: {record} has it"
        mend = "make it with snakemake, under a study.name of its own if both are to stay"
        raise ConfigError(str(study.results), problem, mend)
    return study


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


def require_key(study: Study, key: str | None, now: str) -> None:
    """As `require_plan`, and by hand (no key) as `require_kept`: a workflow has looked already."""
    require_plan(key, now)
    if key is None:
        require_kept(study)


def sound_data(study: Study, cell: Cell, seeds: Iterable[int | None]) -> dict[int, PreparedData]:
    """The splits of the cell's runs (None: of its search), by number, once its code is imported.

    Both are what they are taken for.

    Raises:
        ConfigError: the code changed while it was imported.
        DataError, RecordError: the prepared arrays are damaged, or of another description.
    """
    from autoloss.data.load.prepared import PreparedData
    from autoloss.methods.load import load

    load(study.base(cell.method))
    if not identity.still_the_code(study, cell):
        raise ConfigError(str(cell), "its code changed while it was imported", "start it again")
    opened = {}
    for split in dict.fromkeys(map(study.split_of, seeds)):
        prepared_hash(study, cell.dataset, split)
        opened[split] = PreparedData.open(study.prepared_folder(cell.dataset, split))
        opened[split].verify()
    return opened


def cell_of(study: Study, dataset: str, model: str, method: str) -> Cell:
    """The cell of these names; a ConfigError if one is none's."""
    require_known([dataset], study.known_datasets, "data set", "data set")
    require_known([model], MODELS, "model", "model")
    require_known([method], [*study.methods, *study.variants], "method", "method")
    return Cell(dataset, model, method)


def seed_range(study: Study, text: str) -> tuple[int, int]:
    """First and last seed of `0-11` or `3`; a ConfigError if it is neither, or not in the study."""
    try:
        numbers = [*map(int, text.split("-"))]
        first, last = numbers * 2 if len(numbers) == 1 else numbers
    except ValueError:
        mend = "give first and last, as in 0-11, or one"
        raise ConfigError("--seeds", f"is '{text}'", mend) from None
    if first > last:
        raise ConfigError("--seeds", f"'{text}' is empty", "give the smaller seed first")
    seeds = study.seeds
    if first not in seeds or last not in seeds:
        held = f"{seeds[0]} to {seeds[-1]}"
        problem = f"is '{text}', and the study has the seeds {held}: nothing reads others"
        raise ConfigError("--seeds", problem, "give seeds of the study, or raise study.seeds")
    return first, last
