"""The study as a plan: which cells and runs a configuration asks for, and where their files go.

The one place that knows the grid and the paths; the Snakefile, the commands and the tables ask
here. Imports neither torch nor pandas.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from autoloss.config import Config, load_config, overlay, read_config
from autoloss.data.registry import DatasetSpec, dataset_names, load_dataset
from autoloss.errors import ConfigError, did_you_mean
from autoloss.records.fingerprint import preparation_code, search_code, training_code
from autoloss.records.store import read_search, write_text
from autoloss.registry import FULL, MODELS, OWN, TABLES, Entry, discover, options_of, tuning_of


@dataclass(frozen=True, order=True)
class Cell:
    """Data set x model x method; with a seed it is a run."""

    dataset: str
    model: str
    method: str

    def __str__(self) -> str:
        return f"{self.dataset}/{self.model}/{self.method}"


@dataclass(frozen=True)
class Study:
    """A validated configuration with everything derived from it; paths are relative to the root.

    Raises:
        ConfigError: on construction, if it names a data set, method or option that is not there.
    """

    config: Config
    root: Path = Path()

    @classmethod
    def load(cls, overrides: Mapping[str, Any], root: Path) -> Study:
        """The study of `configs/` under `root`, with the user's keys laid over it."""
        return cls(load_config(overrides, root), root)

    @classmethod
    def read(cls, file: Path) -> Study:
        """The study of a resolved configuration that the Snakefile wrote."""
        return cls(read_config(file))

    def __post_init__(self) -> None:
        study = self.config.study
        known = dataset_names(self.root)
        for name in (*study.datasets, *study.component_datasets):
            if name not in known:
                raise ConfigError("study", f"no data set '{name}'", did_you_mean(name, known))
        for name in (*study.models, *study.control_models):
            if name not in MODELS:
                raise ConfigError("study.models", f"no model '{name}'", did_you_mean(name, MODELS))
        for name in (*(study.methods or ()), *self.config.methods):
            if name not in self.methods:
                raise ConfigError(
                    "methods", f"no method '{name}'", did_you_mean(name, self.methods)
                )
        for name, entry in self.methods.items():
            options_of(entry.info, self.config.methods.get(name, {}), self.methods)

    @cached_property
    def methods(self) -> dict[str, Entry]:
        """Every method that is found, by name."""
        return discover()

    # The grid

    def table_methods(self, table: str) -> list[str]:
        """Methods of a table: candidates, other fixed ones, searched, learned, AutoLoss' own."""
        chosen = self.config.study.methods
        rank = {"nothing": 0, "training": 2, "validation": 3}
        candidates = {loss: k for k, loss in enumerate(self.config.losses.candidates)}
        found = {
            name: (
                name == OWN or entry.info.base == OWN,
                1 if entry.info.searches else rank[entry.info.learns_on],
                candidates.get(name, len(candidates)),
                name,
            )
            for name, entry in self.methods.items()
            if (table == FULL or table in entry.info.tables) and (chosen is None or name in chosen)
        }
        return sorted(found, key=found.__getitem__)

    def table_datasets(self, table: str) -> tuple[str, ...]:
        """Data sets of a table."""
        study = self.config.study
        return study.datasets if table in ("table_2", FULL) else study.component_datasets

    def table_models(self, table: str) -> tuple[str, ...]:
        """Models of a table."""
        study = self.config.study
        return study.control_models if table == "controls" else study.models

    def cells(self, table: str) -> list[Cell]:
        """The cells of a table, in its order."""
        return [
            Cell(dataset, model, method)
            for dataset in self.table_datasets(table)
            for model in self.table_models(table)
            for method in self.table_methods(table)
        ]

    def all_cells(self) -> list[Cell]:
        """The cells of all tables but `table_2_full`, each once."""
        return list(dict.fromkeys(cell for table in TABLES for cell in self.cells(table)))

    def shards(self) -> list[tuple[int, int]]:
        """First and last seed of each job of a cell."""
        seeds, step = self.config.study.seeds, self.config.study.seeds_per_job
        return [(first, min(first + step, seeds) - 1) for first in range(0, seeds, step)]

    # What a run is

    def run_config(self, cell: Cell) -> dict[str, Any]:
        """All of the configuration that a run's numbers can depend on."""
        config = self.config
        overrides = config.methods.get(cell.method, {})
        placement = {"device", "threads", "checkpoint_seconds"}
        return {
            "model": config.model.model_dump(mode="json"),
            "losses": config.losses.model_dump(mode="json"),
            "training": config.training.model_dump(mode="json", exclude=placement),
            "method": options_of(self.methods[cell.method].info, overrides, self.methods),
        }

    def code(self, method: str) -> str:
        """Fingerprint of the code of a method's runs."""
        return training_code(method, self.methods)

    def run_key(self, cell: Cell) -> str:
        """Hash of a cell, its configuration and its code: when it changes, the cell is rerun."""
        return _hash([str(cell), self.run_config(cell), self.code(cell.method)])

    def run_id(self, cell: Cell, seed: int, data_hash: str) -> str:
        """The identity of a run: equal ids promise equal numbers on one machine class.

        Where the cell has a search, of a run with what it chose (see `chosen`).
        """
        return _hash([self.chosen(cell).run_key(cell), seed, data_hash])

    # Searches: BOHB's and grid's, and in the tuned protocol everybody's

    def searches(self, cell: Cell) -> bool:
        """Whether something is searched for a cell before its seeds are trained."""
        return self.config.protocol == "tuned" or self.methods[cell.method].info.searches

    def search_space(self, method: str) -> dict[str, tuple[Any, ...]]:
        """What the tuned protocol searches for a method: key -> domain."""
        shared = {f"training.{key}": domain for key, domain in self.config.tuning.shared}
        own = tuning_of(self.methods[method].info, self.methods)
        return {**shared, **{f"method.{key}": domain for key, domain in own.items()}}

    def search_budget(self, cell: Cell) -> int:
        """Epochs that a cell's search may train, over all trials."""
        trials = self.config.tuning.trials if self.searches(cell) else 0
        return trials * self.config.training.max_epochs

    def epoch_budget(self, method: str) -> int:
        """Epochs that a run of a method may train."""
        return self.config.training.max_epochs * (2 if self.methods[method].info.refits else 1)

    def search_key(self, cell: Cell) -> str:
        """Hash of all that a search's result can depend on, the data apart."""
        tuning = self.config.tuning.model_dump(mode="json")
        return _hash([self.run_key(cell), tuning, self.config.protocol, search_code()])

    def chosen(self, cell: Cell) -> Study:
        """The study with what the cell's search chose laid over its configuration.

        Raises:
            RecordError: the search has not been made, or its file is damaged.
        """
        if not self.searches(cell):
            return self
        file = self.search_file(cell)
        return self.with_assignment(cell.method, read_search(file).chosen, str(file))

    def with_assignment(self, method: str, assignment: Mapping[str, Any], where: str) -> Study:
        """The study with `assignment` ("training.lr", "method.every", ...) laid over it."""
        training, options = (
            {key.partition(".")[2]: v for key, v in assignment.items() if key.startswith(part)}
            for part in ("training.", "method.")
        )
        over = {"training": training, "methods": {method: options}}
        return Study(overlay(self.config, over, where), self.root)

    def preparation_key(self, name: str) -> str:
        """Hash of a data set's description, the row limit and the code that prepares it."""
        spec = self.dataset(name).model_dump(mode="json")
        return _hash([spec, self.config.study.max_rows, preparation_code()])

    def dataset(self, name: str) -> DatasetSpec:
        """The description of a data set."""
        return load_dataset(name, self.root)

    # Where things are

    @property
    def results(self) -> Path:
        """`results/<name>`."""
        return Path("results") / self.name

    @property
    def name(self) -> str:
        """The scale, and the protocol unless it is the published one."""
        protocol = self.config.protocol
        return self.config.scale + ("" if protocol == "published" else f"-{protocol}")

    @property
    def config_file(self) -> Path:
        """The resolved configuration, for the jobs."""
        return self.results / "config.json"

    def raw_folder(self, source: str) -> Path:
        """Raw files of a source."""
        return Path("data") / "raw" / source

    def prepared_folder(self, dataset: str) -> Path:
        """Prepared arrays of a data set; a row limit gives a folder of its own."""
        limit = self.config.study.max_rows
        return Path("data") / "prepared" / (f"{dataset}-{limit}" if limit else dataset)

    def cell_folder(self, cell: Cell) -> Path:
        """Run records of a cell."""
        return self.results / "runs" / cell.dataset / cell.model / cell.method

    def shard_file(self, cell: Cell, first: int, last: int) -> Path:
        """What a training job writes last: the list of its runs."""
        return self.cell_folder(cell) / f"seeds_{first}-{last}.json"

    def record_file(self, cell: Cell, seed: int) -> Path:
        """A run's record."""
        return self.cell_folder(cell) / f"seed_{seed}.json"

    def search_file(self, cell: Cell) -> Path:
        """What a cell's search tried and chose."""
        return self.cell_folder(cell) / "search.json"

    def state_file(self, cell: Cell, run_id: str) -> Path:
        """A run's checkpoint: undeclared to Snakemake, so that it survives a rerun."""
        return self.cell_folder(cell) / ".state" / f"{run_id}.pt"

    def write_config(self) -> Path:
        """Write the resolved configuration if it changed; returns its path."""
        text = self.config.model_dump_json(indent=2) + "\n"
        file = self.root / self.config_file
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            write_text(text, file)
        return self.config_file


def _hash(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
