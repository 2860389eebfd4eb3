"""The study as a grid: which cells and runs its tables and figures have. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoloss.config import load_config
from autoloss.data.manifest import MANIFEST, Manifest, read_manifest
from autoloss.data.specs import DatasetSpec, load_dataset
from autoloss.methods.info import OWN
from autoloss.records.store import write_text
from autoloss.report.catalogue import figures, tables
from autoloss.study.cell import Cell
from autoloss.study.groups import APART, COMPARED, FROZEN, FULL, GROUPS
from autoloss.study.selection import Selection
from autoloss.study.variants import frequency_variants

PAPER = "paper"  # the scale whose protocol is the paper's


@dataclass(frozen=True)
class Study(Selection):
    """A validated configuration with everything derived from it; paths are relative to the root.

    Raises:
        ConfigError: on construction, if it names a data set, method or option that is not there.
    """

    @classmethod
    def load(cls, overrides: Mapping[str, Any], root: Path) -> Study:
        """The study of `configs/` under `root`, with the user's keys laid over it."""
        return cls(load_config(overrides, root), root)

    def cells(self, group: str) -> list[Cell]:
        """The cells of a table or a figure, in its order."""
        options = self.config.study
        if group == "figure_3":
            frozen = [name for name, entry in self.methods.items() if entry.info.frozen]
            names = self._taken((COMPARED, *sorted(frozen, key=lambda name: name == FROZEN)))
            return [Cell(pair.dataset, pair.model, m) for pair in options.targets for m in names]
        if group == "figure_4":
            every = frequency_variants(options.frequencies)
            others = [method for method in every if self.plain(method) == method]
            learned = self._learned(self.table_methods("table_2"))
            names = self._taken((*learned, *others))
            return [Cell(options.source.dataset, options.source.model, m) for m in names]
        if group == "sensitivity":
            names, model = self._taken(self.sensitivity.methods()), self.sensitivity.model
            return [Cell(dataset, model, m) for dataset in options.datasets for m in names]
        everywhere = group in ("table_2", FULL)
        return [
            Cell(dataset, model, method)
            for dataset in (options.datasets if everywhere else options.component_datasets)
            for model in (options.control_models if group == "controls" else options.models)
            for method in self.table_methods(group)
        ]

    def _taken(self, methods: Iterable[str]) -> list[str]:
        """Of these, the ones that the study has."""
        known = {*self.methods, *self.variants}
        return [m for m in dict.fromkeys(methods) if m in known and self.takes(m)]

    def _learned(self, methods: Iterable[str]) -> list[str]:
        """Of these, the ones whose weights are learned or searched: Figure 4 has their costs."""
        return [m for m in methods if self.methods[m].info.learns_on != "nothing"]

    def shows(self, method: str) -> bool:
        """Whether products show a method: all do, but for those with a choice of the user's."""
        return True

    def frequencies(self) -> dict[str, int]:
        """Steps between outer steps of our method and its variants in Figure 4, by name."""
        cells = [cell for cell in self.cells("figure_4") if self.base(cell.method) == OWN]
        return {cell.method: self.settings(cell.method)["method"]["every"] for cell in cells}

    def table_methods(self, table: str) -> list[str]:
        """Methods of a table: candidates, other fixed ones, searched, learned, AutoLoss' own, ours.

        `statistics.ours` stand in Table 2 whatever else they ask for.
        """
        ours = self.config.statistics.ours
        rank = {"nothing": 0, "training": 2, "validation": 3}
        candidates = {loss: k for k, loss in enumerate(self.config.losses.candidates)}
        ranks = {
            name: (
                name == OWN or entry.info.base == OWN or name in ours,
                1 if entry.info.searches else rank[entry.info.learns_on],
                candidates.get(name, len(candidates)),
                name,
            )
            for name, entry in self.methods.items()
            if (
                table in entry.info.tables
                or (table == FULL and not entry.info.frozen)
                or (table == "table_2" and name in ours)
            )
            and self.takes(name)
        }
        return sorted(ranks, key=ranks.__getitem__)

    def ours(self, group: str) -> list[str]:
        """The methods that a group's others are compared with: of `statistics.ours` those in it.

        AutoLoss where none is, which the paper's Table 3 and Figure 4 are about; in Figure 3 its
        frozen controller.
        """
        if group == "figure_3":
            return [FROZEN]
        there = {cell.method for cell in self.cells(group)}
        return [method for method in self.config.statistics.ours if method in there] or [OWN]

    def has(self, group: str) -> bool:
        """Whether a group has a method of ours: without one there is nothing to compare with."""
        ours = self.ours(group)
        return any(cell.method in ours for cell in self.cells(group))

    def comparisons(self, group: str) -> int:
        """How many comparisons a group has by a metric: a family, if no run fails."""
        cells, ours = self.cells(group), self.ours(group)
        every = Counter((cell.dataset, cell.model) for cell in cells)
        own = Counter((cell.dataset, cell.model) for cell in cells if cell.method in ours)
        return sum(k * (every[place] - k) + k * (k - 1) // 2 for place, k in own.items())

    def figures(self) -> list[str]:
        """The figures of `all` that can be drawn: those whose groups this study has."""
        undrawn = self.undrawn()
        return [
            name
            for name, figure in figures().items()
            if figure.in_all and all(map(self.has, figure.groups)) and name not in undrawn
        ]

    def undrawn(self) -> list[str]:
        """The figures that show paired gains where the study can have none."""
        lacking = [
            name
            for name, figure in figures().items()
            if figure.base not in {cell.method for g in figure.groups for cell in self.cells(g)}
            or self.config.study.seeds < 2
        ]
        return [name for name in lacking if figures()[name].base]

    def reported_groups(self) -> list[str]:
        """The groups that `snakemake all` makes: those of its tables, and those of its figures."""
        made = [table for table in tables().values() if table.in_all]
        made += [figures()[name] for name in self.figures()]
        return list(dict.fromkeys(group for product in made for group in product.groups))

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
        seeds, step = self.seeds, self.config.study.seeds_per_job
        parts = [seeds[k : k + step] for k in range(0, len(seeds), step)]
        return [(part[0], part[-1]) for part in parts]

    def searches(self, cell: Cell) -> bool:
        """Whether something is searched for a cell before its seeds are trained."""
        return self.config.protocol == "tuned" or self.entry(cell.method).info.searches

    def search_budget(self, cell: Cell) -> int:
        """Epochs that a cell's search may train, over all trials."""
        trials = self.config.tuning.trials if self.searches(cell) else 0
        return trials * self.config.training.max_epochs

    def dataset(self, name: str) -> DatasetSpec:
        """The description of a data set."""
        return load_dataset(name, self.root)

    def is_the_papers(self, datasets: Iterable[str]) -> bool:
        """Whether scale and data are the paper's: only then can its numbers be confirmed.

        A sample of its data is not, and data not prepared or generated in their format are not.
        """
        if self.config.scale != PAPER or self.config.study.max_rows is not None:
            return False
        return all(
            self.dataset(name).is_the_papers
            and (folder := self.prepared_folder(name, split)).joinpath(MANIFEST).exists()
            and not read_manifest(folder, Manifest, "run snakemake again").generated
            for name in datasets
            for split in self.splits
        )

    def write_config(self) -> None:
        """Write down what is run, for who looks at the results later; no job reads it."""
        write_text(self.config.model_dump_json(indent=2) + "\n", self.root / self.config_file)
