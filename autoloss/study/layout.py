"""Where a study's files are: paths relative to the project's folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from autoloss.config import Config
from autoloss.study.cell import Cell


@dataclass(frozen=True)
class Layout:
    """The files of a configuration; `root` is the folder of the configuration's own files."""

    config: Config
    root: Path = Path()

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

    def prepared_folder(self, dataset: str, split: int) -> Path:
        """Prepared arrays of a split of a data set.

        A row limit gives a folder that no data set's name is.
        """
        limit = self.config.study.max_rows
        home = Path("data") / "prepared" / (f"{dataset}.{limit}" if limit else dataset)
        return home / f"split_{split}"

    def under(self, protocol: str) -> Self:
        """The same study under another protocol: `snakemake tuned` makes the tuned one."""
        return replace(self, config=self.config.model_copy(update={"protocol": protocol}))

    @property
    def tuned_verdicts(self) -> Path:
        """The verdicts of the same study under the tuned protocol."""
        return self.under("tuned").results / "verdicts.json"

    @property
    def seeds(self) -> range:
        """The seeds of a cell's runs."""
        first = self.config.study.first_seed
        return range(first, first + self.config.study.seeds)

    @property
    def splits(self) -> range:
        """The numbers of the splits on which runs train and test; seeds above them use them again.

        They begin with the first seed's number: runs of other seeds have splits of their own too.
        """
        first = self.config.study.first_seed
        return range(first, first + self.config.study.splits)

    @property
    def pairs(self) -> tuple[int, str]:
        """How many pairs a test has, and of what: seeds that share a split of several are one."""
        asked = self.config.study
        name = "splits" if 1 < asked.splits < asked.seeds else "seeds"
        return getattr(asked, name), name

    def split_of(self, seed: int | None) -> int:
        """The split of a run; of a search (no seed), which is the one after the runs'."""
        splits = self.splits
        return splits.stop if seed is None else splits[(seed - splits.start) % len(splits)]

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

    def predictions_file(self, cell: Cell, seed: int) -> Path:
        """What a run put out for its test rows."""
        return self.cell_folder(cell) / f"seed_{seed}.predictions.npz"

    def state_file(self, cell: Cell, run_id: str) -> Path:
        """A run's checkpoint: undeclared to Snakemake, so that it survives a rerun."""
        return self.cell_folder(cell) / ".state" / f"{run_id}.pt"
