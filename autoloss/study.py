"""The study as a plan: which cells and runs a configuration asks for, and where their files go.

The one place that knows the grid and the paths; the Snakefile, the commands and the tables ask
here. Imports neither torch nor pandas.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from autoloss.config import Config, load_config, overlay, read_overrides
from autoloss.data.manifest import MANIFEST, Manifest, read_manifest
from autoloss.data.registry import DatasetSpec, load_dataset, load_source
from autoloss.fitness import check_descriptions, check_study, left_out, notes, undrawn
from autoloss.grid import Cell, cells_of
from autoloss.records.fingerprint import (
    preparation_code,
    report_code,
    search_code,
    training_code,
)
from autoloss.records.store import read_record, read_search, write_text
from autoloss.registry import (
    APART,
    FIGURES,
    FULL,
    GROUPS,
    OWN,
    Entry,
    discover,
    options_of,
    tuning_of,
)
from autoloss.variants import Sensitivity, Variant, frequency_variants, load_sensitivity

__all__ = ["PAPER", "Cell", "Study"]

PAPER = "paper"  # the scale whose protocol is the paper's


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
    def planned(cls, files: Iterable[Path], arguments: Iterable[str], root: Path) -> Study:
        """The study of `snakemake --configfile FILES --config ARGUMENTS`, every part looked at.

        Raises:
            ConfigError: it names what is not there, or what is incomplete or misspelt in its file.
                (In a rule Snakemake would take that for a missing input of something made before.)
        """
        study = cls.load(read_overrides(files, arguments), root)
        check_descriptions(study)
        return study

    def __post_init__(self) -> None:
        check_study(self)

    def named_datasets(self) -> list[str]:
        """The data sets that the configuration names, each once."""
        study = self.config.study
        pairs = (pair.dataset for pair in (study.source, *study.targets))
        return list(dict.fromkeys((*study.datasets, *study.component_datasets, *pairs)))

    @cached_property
    def methods(self) -> dict[str, Entry]:
        """Every method that is found, by name."""
        return discover()

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Methods that are found and cannot do what the study asks, each with the reason."""
        return left_out(self)

    @cached_property
    def notes(self) -> list[str]:
        """What the study does without, in sentences."""
        return notes(self)

    def takes(self, method: str) -> bool:
        """Whether a method is one of the study's: a frozen one goes with its source."""
        chosen, base = self.config.study.methods, self.base(method)
        asked = {method, base, self.methods[base].info.frozen}
        return not asked & {*self.left_out} and (chosen is None or bool(asked & {*chosen}))

    @cached_property
    def sensitivity(self) -> Sensitivity:
        """The readings of the paper's open choices."""
        return load_sensitivity(self.root, self.methods)

    @cached_property
    def variants(self) -> dict[str, Variant]:
        """Methods with something changed, by the name that their cells have."""
        found = frequency_variants(self.config.study.frequencies)
        for reading in self.sensitivity.readings:
            found |= reading.variants()
        return found

    def variant(self, method: str) -> Variant:
        """What a cell's name stands for: a method with something changed, or as it is."""
        return self.variants.get(method, Variant(method))

    def base(self, method: str) -> str:
        """The method that a cell's name stands for: a variant's base, or itself."""
        return self.variant(method).base

    def plain(self, method: str) -> str:
        """The name under which a method is run: `autoloss_every_7` is `autoloss` if 7 is usual."""
        base = self.base(method)
        if base == method:
            return method
        alike = self.run_config(Cell("", "", method)) == self.run_config(Cell("", "", base))
        return base if alike else method

    def frequencies(self) -> dict[str, int]:
        """Steps between outer steps of our method and its variants in Figure 4, by name."""
        cells = [cell for cell in self.cells("figure_4") if self.base(cell.method) == OWN]
        return {cell.method: self.run_config(cell)["method"]["every"] for cell in cells}

    def entry(self, method: str) -> Entry:
        """The method behind a cell's name."""
        return self.methods[self.base(method)]

    def label(self, method: str) -> str:
        """What tables and figures call a cell's method."""
        changed = self.variant(method).label
        return self.entry(method).info.label + (f" ({changed})" if changed else "")

    # The grid

    def table_methods(self, table: str) -> list[str]:
        """Methods of a table: candidates, other fixed ones, searched, learned, AutoLoss' own."""
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
            if (table in entry.info.tables or (table == FULL and not entry.info.frozen))
            and self.takes(name)
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

    def cells(self, group: str) -> list[Cell]:
        """The cells of a table or a figure, in its order."""
        return cells_of(self, group)

    def ours(self, group: str) -> str:
        """The method that the others of a group are compared with."""
        return f"{OWN}_frozen" if group == "figure_3" else OWN

    def has(self, group: str) -> bool:
        """Whether a group has our method: without it there is nothing to compare with."""
        return any(cell.method == self.ours(group) for cell in self.cells(group))

    def compares(self, group: str) -> bool:
        """Whether a group has another method than ours."""
        return any(cell.method != self.ours(group) for cell in self.cells(group))

    def figures(self) -> list[str]:
        """The figures of `all` that can be drawn: those whose groups this study has."""
        return [
            name
            for name, groups in FIGURES.items()
            if all(map(self.has, groups)) and not set(groups) & set(APART)
            if name not in undrawn(self)
        ]

    def reported_groups(self) -> list[str]:
        """The groups that `snakemake all` makes: the report's tables, and those of the figures."""
        drawn = (group for name in self.figures() for group in FIGURES[name])
        return list(dict.fromkeys(["table_2", "table_3", *drawn]))

    def all_cells(self) -> list[Cell]:
        """The cells of all groups but those apart, each once."""
        return list(
            dict.fromkeys(c for group in GROUPS if group not in APART for c in self.cells(group))
        )

    def controller_of(self, cell: Cell) -> Cell | None:
        """The cell whose trained controllers, seed by seed, a frozen method's cell takes."""
        source, frozen = self.config.study.source, self.entry(cell.method).info.frozen
        return Cell(source.dataset, source.model, frozen) if frozen else None

    def shards(self) -> list[tuple[int, int]]:
        """First and last seed of each job of a cell."""
        seeds, step = self.config.study.seeds, self.config.study.seeds_per_job
        return [(first, min(first + step, seeds) - 1) for first in range(0, seeds, step)]

    # What a run is

    def run_config(self, cell: Cell) -> dict[str, Any]:
        """All of the configuration that a run's numbers can depend on."""
        config, base = self.varied(cell).config, self.base(cell.method)
        placement = {"device", "jobs_per_gpu", "threads", "checkpoint_seconds"}
        found = {
            "model": config.model.model_dump(mode="json"),
            "losses": config.losses.model_dump(mode="json"),
            "training": config.training.model_dump(mode="json", exclude=placement),
            "method": options_of(
                self.methods[base].info, config.methods.get(base, {}), self.methods
            ),
        }
        source = self.controller_of(cell)
        if source:
            found["controller"] = {"cell": str(source), "run_key": self.run_key(source)}
        return found

    def code(self, method: str) -> str:
        """Fingerprint of the code of a method's runs."""
        return training_code(self.base(method), self.methods)

    def varied(self, cell: Cell) -> Study:
        """The study with a variant's options laid over it."""
        over = self.variant(cell.method).over
        if not over:
            return self
        return Study(overlay(self.config, over, f"variant {cell.method}"), self.root)

    def run_key(self, cell: Cell) -> str:
        """Hash of a cell, its configuration and its code: when it changes, the cell is rerun."""
        return _hash([str(cell), self.run_config(cell), self.code(cell.method)])

    def run_id(self, cell: Cell, seed: int, data_hash: str) -> str:
        """The identity of a run: equal ids promise equal numbers on one machine class.

        Where the cell has a search, of a run with what it chose (see `chosen`); where it takes a
        controller, with the one of that run.
        """
        identity = [self.chosen(cell).run_key(cell), seed, data_hash]
        source = self.controller_of(cell)
        if source:
            identity.append(read_record(self.record_file(source, seed)).run_id)
        return _hash(identity)

    # Searches: BOHB's and grid's, and in the tuned protocol everybody's

    def searches(self, cell: Cell) -> bool:
        """Whether something is searched for a cell before its seeds are trained."""
        tuned = self.config.protocol == "tuned" and self.controller_of(cell) is None
        return tuned or self.entry(cell.method).info.searches

    def search_space(self, method: str) -> dict[str, tuple[Any, ...]]:
        """What the tuned protocol searches for a method: key -> domain."""
        shared = {f"training.{key}": domain for key, domain in self.config.tuning.shared}
        own = tuning_of(self.entry(method).info, self.methods)
        fixed = self.variant(method).options
        return {
            **shared,
            **{f"method.{key}": domain for key, domain in own.items() if key not in fixed},
        }

    def search_budget(self, cell: Cell) -> int:
        """Epochs that a cell's search may train, over all trials."""
        trials = self.config.tuning.trials if self.searches(cell) else 0
        return trials * self.config.training.max_epochs

    def epoch_budget(self, method: str) -> int:
        """Epochs that a run of a method may train."""
        return self.config.training.max_epochs * (2 if self.entry(method).info.refits else 1)

    def search_key(self, cell: Cell) -> str:
        """Hash of all that a search's result can depend on, the data apart."""
        tuning = self.config.tuning.model_dump(mode="json")
        return _hash([self.run_key(cell), tuning, self.config.protocol, search_code()])

    def chosen(self, cell: Cell) -> Study:
        """The study with the cell's variant, and what its search chose, laid over it.

        Raises:
            RecordError: the search has not been made, or its file is damaged.
        """
        if not self.searches(cell):
            return self.varied(cell)
        file = self.search_file(cell)
        return self.with_assignment(cell, read_search(file).chosen, str(file))

    def with_assignment(self, cell: Cell, assignment: Mapping[str, Any], where: str) -> Study:
        """The cell's study with `assignment` ("training.lr", "method.every", ...) laid over it."""
        training, options = (
            {key.partition(".")[2]: v for key, v in assignment.items() if key.startswith(part)}
            for part in ("training.", "method.")
        )
        over = {"training": training, "methods": {self.base(cell.method): options}}
        return Study(overlay(self.varied(cell).config, over, where), self.root)

    def source_key(self, name: str) -> str:
        """Hash of what a source's raw files are: its mirrors and their checksums."""
        return _hash(load_source(name, self.root).model_dump(mode="json")["mirrors"])

    def preparation_key(self, name: str) -> str:
        """Hash of a data set's description, the row limit and the code that prepares it."""
        spec = self.dataset(name).model_dump(mode="json")
        return _hash([spec, self.config.study.max_rows, preparation_code()])

    @cached_property
    def report_key(self) -> str:
        """Hash of what tables, figures and statistics depend on beside the runs and the data."""
        config = self.config.model_dump(mode="json")
        methods = {name: asdict(entry.info) for name, entry in self.methods.items()}
        files = [file.read_text("utf-8") for file in sorted((self.root / "configs").glob("*.yaml"))]
        return _hash([config, methods, files, report_code()])

    def dataset(self, name: str) -> DatasetSpec:
        """The description of a data set."""
        return load_dataset(name, self.root)

    def is_the_papers(self, datasets: Iterable[str]) -> bool:
        """Whether scale and data are the paper's: only then can its numbers be confirmed.

        A sample of its data is not, and generated data in their format are not.
        """
        if self.config.scale != PAPER or self.config.study.max_rows is not None:
            return False
        return all(self.dataset(name).is_the_papers and self._is_real(name) for name in datasets)

    def _is_real(self, dataset: str) -> bool:
        """Whether the data set has been prepared, and not from generated files."""
        folder = self.prepared_folder(dataset)
        if not (folder / MANIFEST).exists():
            return False
        return not read_manifest(folder, Manifest, "run snakemake again").generated

    # Where things are

    @property
    def results(self) -> Path:
        """`results/<name>`."""
        return Path("results") / self.name

    @property
    def figures_folder(self) -> Path:
        """`figures/<name>`."""
        return Path("figures") / self.name

    @property
    def name(self) -> str:
        """The name that it is given, or its scale's; with the protocol unless that is the usual."""
        protocol = self.config.protocol
        name = self.config.study.name or self.config.scale
        return name + ("" if protocol == "published" else f"-{protocol}")

    @property
    def config_file(self) -> Path:
        """The configuration that was last run, resolved."""
        return self.results / "config.json"

    def raw_folder(self, source: str) -> Path:
        """Raw files of a source."""
        return Path("data") / "raw" / source

    def prepared_folder(self, dataset: str) -> Path:
        """Prepared arrays of a data set; a row limit gives a folder that no data set's name is."""
        limit = self.config.study.max_rows
        return Path("data") / "prepared" / (f"{dataset}.{limit}" if limit else dataset)

    def index_file(self, group: str) -> Path:
        """One row per run of a group."""
        return self.results / "index" / f"{group}.parquet"

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

    def controller_file(self, cell: Cell, seed: int) -> Path:
        """A run's trained controller, where it has one."""
        return self.cell_folder(cell) / f"seed_{seed}.controller.pt"

    def state_file(self, cell: Cell, run_id: str) -> Path:
        """A run's checkpoint: undeclared to Snakemake, so that it survives a rerun."""
        return self.cell_folder(cell) / ".state" / f"{run_id}.pt"

    def write_config(self) -> None:
        """Write down what is run, for who looks at the results later; no job reads it."""
        write_text(self.config.model_dump_json(indent=2) + "\n", self.root / self.config_file)


def _hash(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
