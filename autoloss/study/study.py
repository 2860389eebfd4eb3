"""The study as a grid: which cells and runs its tables and figures have. Imports no torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from autoloss.config import Given, load_config
from autoloss.data.manifest import MANIFEST, Manifest, read_manifest
from autoloss.data.specs import DatasetSpec, dataset_names, derived_from, load_dataset
from autoloss.errors import ConfigError
from autoloss.methods.info import OWN
from autoloss.records.store import write_text
from autoloss.report.catalogue import Product, figures, tables
from autoloss.study.cell import Cell
from autoloss.study.groups import APART, COMPARED, FULL, GROUPS, UNTESTED
from autoloss.study.selection import Selection

PAPER = "paper"  # the scale whose protocol is the paper's


@dataclass(frozen=True)
class Study(Selection):
    """A validated configuration with everything derived from it; paths are relative to the root.

    Raises:
        ConfigError: on construction, if it names a data set, method or option that is not there.
    """

    @classmethod
    def load(cls, overrides: Mapping[str, Any], root: Path, given: Given = ()) -> Study:
        """The study of `configs/` under `root`, the user's keys laid over it; as `load_config`."""
        return cls(load_config(overrides, root, given), root)

    def cells(self, group: str) -> list[Cell]:
        """The cells of a table or a figure, in its order."""
        options = self.config.study
        if group == "figure_3":
            frozen = [name for name, entry in self.methods.items() if entry.info.frozen]
            frozen.sort(key=lambda name: self.entry(name).info.frozen in self.claimed)  # ours last
            names = self._taken((COMPARED, *frozen))
            return [Cell(pair.dataset, pair.model, m) for pair in options.targets for m in names]
        if group == "figure_4":
            learned = self._learned(self.table_methods("table_2"))
            others = [method for method in self.at_frequencies if self.plain(method) == method]
            names = self._taken((*learned, self.subject, *others))
            return [Cell(options.source.dataset, options.source.model, m) for m in names]
        if group == "regimes":
            taken = {*self._taken(self.regimes.named())} - {*self.misfits}
            return [cell for cell in self.regimes.cells() if cell.method in taken]
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
        if not self.at_frequencies:
            return {}
        cells = [cell for cell in self.cells("figure_4") if self.base(cell.method) == self.subject]
        return {cell.method: self.settings(cell.method)["method"]["every"] for cell in cells}

    def table_methods(self, table: str) -> list[str]:
        """Methods of a table: candidates, other fixed ones, searched, learned, then ours and kin.

        Those claimed stand in Table 2 whatever they ask for, and in another table if none of them
        asks for it. Of those that learn, Table 3 has ours and kin alone: it is about components.
        """
        asking = [name for name in self.claimed if table in self.methods[name].info.tables]
        ours = self.claimed if table == "table_2" or not asking else asking
        rank = {"nothing": 0, "training": 2, "validation": 3}
        candidates = {loss: k for k, loss in enumerate(self.config.losses.candidates)}
        ranks = {
            name: (
                name in self.kin,
                1 if entry.info.searches else rank[entry.info.learns_on],
                candidates.get(name, len(candidates)),
                name,
            )
            for name, entry in self.methods.items()
            if (
                table in entry.info.tables
                or (table == FULL and entry.info.tables)
                or (table != FULL and name in ours)
            )
            and (table != "table_3" or name in self.kin or entry.info.learns_on == "nothing")
            and self.takes(name)
        }
        return sorted(ranks, key=ranks.__getitem__)

    def ours(self, group: str) -> list[str]:
        """The methods that a group's others are compared with: of those claimed the ones in it.

        In Figure 3 their frozen controllers; of the sensitivity study and the regimes AutoLoss,
        which these are about.
        """
        there = dict.fromkeys(cell.method for cell in self.cells(group))
        if group == "figure_3":
            return [name for name in there if self.entry(name).info.frozen in self.claimed]
        claimed = [OWN] if group in UNTESTED else self.claimed
        return [method for method in claimed if method in there]

    def has(self, group: str) -> bool:
        """Whether a group has a method of ours: without one there is nothing to compare with."""
        return bool(self.ours(group))

    def require(self, group: str) -> None:
        """Refuse to make anything of a group that has no method of ours.

        Raises:
            ConfigError: it has none.
        """
        if not self.has(group):
            what, mend = self.label(OWN), f"add {OWN} to study.methods"
            if group == "figure_3":
                what = f"a frozen controller of {self.label(self.subject)}"
                mend = f"add a method with frozen='{self.subject}', as baselines/autoloss_frozen.py"
            mend = f"ask for another table or figure, or {mend}"
            raise ConfigError(group, f"is about {what}, which this study has not", mend)

    def comparisons(self, group: str) -> int:
        """How many comparisons a group has by a metric: a family, if no run fails."""
        cells, ours = self.cells(group), self.ours(group)
        every = Counter((cell.dataset, cell.model) for cell in cells)
        own = Counter((cell.dataset, cell.model) for cell in cells if cell.method in ours)
        return sum(k * (every[place] - k) + k * (k - 1) // 2 for place, k in own.items())

    def figures(self) -> list[str]:
        """The figures of `all` that can be drawn."""
        undrawn = self.undrawn()
        return [name for name, figure in figures().items() if figure.in_all and name not in undrawn]

    def undrawn(self) -> dict[str, str]:
        """The figures of `all` that this study has nothing for, each with what they need."""
        in_all = {name: figure for name, figure in figures().items() if figure.in_all}
        lacks = {name: self._lacking(figure) for name, figure in in_all.items()}
        return {name: lack for name, lack in lacks.items() if lack}

    def _lacking(self, figure: Product) -> str:
        """What a figure needs that the study has not; nothing, if it can be drawn."""
        there = {cell.method for group in figure.groups for cell in self.cells(group)}
        weights = {self.entry(method).info.weights for method in there}
        ours = self.label(self.subject)
        if not all(map(self.has, figure.groups)):
            return f"a frozen controller of {ours}" if "figure_3" in figure.groups else ours
        if figure.base and (figure.base not in there or self.config.study.seeds < 2):
            return f"{figure.base} and two seeds"
        if figure.weights and figure.weights not in weights:
            return f"a method with weights {figure.weights}"
        if figure.option and not self.at_frequencies:
            return f"the option {figure.option}, which {ours} has not"
        return ""

    def reported_groups(self) -> list[str]:
        """The groups that `snakemake all` makes: those of its tables, and those of its figures."""
        made = [table for table in tables().values() if table.in_all]
        made += [figures()[name] for name in self.figures()]
        return list(dict.fromkeys(group for product in made for group in product.groups))

    def all_cells(self) -> list[Cell]:
        """The cells of all groups that the study has, but those apart, each once."""
        groups = [group for group in GROUPS if group not in APART and self.has(group)]
        return list(dict.fromkeys(c for group in groups for c in self.cells(group)))

    def controller_of(self, cell: Cell) -> Cell | None:
        """The cell whose trained controllers, seed by seed, a frozen method's cell takes."""
        source, frozen = self.config.study.source, self.entry(cell.method).info.frozen
        return Cell(source.dataset, source.model, frozen) if frozen else None

    def shards(self) -> list[tuple[int, int]]:
        """First and last seed of each job of a cell."""
        seeds, step = self.seeds, self.config.study.seeds_per_job
        parts = [seeds[k : k + step] for k in range(0, len(seeds), step)]
        return [(part[0], part[-1]) for part in parts]

    @property
    def stack(self) -> int:
        """How many runs train at once: by `auto` a job's, where a GPU was asked for by name."""
        training = self.config.training
        if training.stack != "auto":
            return training.stack
        return self.config.study.seeds_per_job if training.device.startswith("cuda") else 1

    def place(self, seed: int) -> tuple[int, int]:
        """Which of the stacks a run is in, and its place there."""
        return divmod(seed - self.seeds.start, self.stack)

    def searches(self, cell: Cell) -> bool:
        """Whether something is searched for a cell before its seeds are trained."""
        return self.config.protocol == "tuned" or self.entry(cell.method).info.searches

    @property
    def prepared_splits(self) -> list[int]:
        """The splits of runs, and the searches', where a method of the study has any."""
        searched = self.config.protocol == "tuned" or any(
            entry.info.searches and self.takes(name) for name, entry in self.methods.items()
        )
        return [*self.splits, *([self.split_of(None)] if searched else [])]

    def search_budget(self, cell: Cell) -> int:
        """Epochs that a cell's search may train, over all trials."""
        trials = self.config.tuning.trials if self.searches(cell) else 0
        return trials * self.config.training.max_epochs

    def dataset(self, name: str) -> DatasetSpec:
        """The description of a data set.

        Raises:
            ConfigError: there is none, or it has a mistake, or one split where several are asked.
        """
        made = self.regimes.datasets.get(name)
        spec = load_dataset(made.base if made else name, self.root)
        spec = derived_from(spec, made, f"configs/regimes.yaml, {name}") if made else spec
        splits = self.config.study.splits
        if spec.split.by != "random" and splits > 1:
            problem = f"asks for {splits} splits; {name} is split by {spec.split.by}, so has one"
            mend = "write `splits: 1` under `study:` in the file of --configfile (of `autoloss`: "
            mend += '--config), or "splits": 1 in `--config study={...}`; or a random `split` in '
            mend += f"configs/datasets/{name}.yaml"
            raise ConfigError("study.splits", problem, mend)
        return spec

    @property
    def known_datasets(self) -> list[str]:
        """The data sets that there are, those that the regimes make of others among them."""
        return [*dataset_names(self.root), *self.regimes.datasets]

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
