"""The jobs of `snakemake all`, with their dependencies, as `autoloss/workflow/*.smk` declares them.

A test holds their number against Snakemake's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from autoloss.plan.schedule import Job
from autoloss.registry import FIGURES
from autoloss.study import Cell, Study

TABLES = ("table_2", "table_3")  # of `all`, beside Table 1
ANALYSIS = ("index", "budget", "compare", "table", "figure", "report")


@dataclass(frozen=True)
class Seconds:
    """What each kind of job takes. Training: of a cell's job with so many seeds."""

    fetch: Callable[[str], float]
    prepare: Callable[[str], float]
    search: Callable[[Cell], float]
    train: Callable[[Cell, int], float]
    analyse: Callable[[str, int], float]  # stage, and how many runs it reads


def jobs_of(study: Study, seconds: Seconds, *, places: int = 0) -> list[Job]:
    """Every job of `snakemake all` from nothing, each after those that it needs.

    `places`: GPU places that a training or search holds (0: it computes on its core).
    """
    return _Dag(study, seconds, places).all()


def cells_of(study: Study) -> list[Cell]:
    """The cells of `snakemake all`, each once; those of controllers that others take among them."""
    cells = [cell for group in study.reported_groups() for cell in study.cells(group)]
    sources = [source for cell in cells if (source := study.controller_of(cell))]
    return list(dict.fromkeys([*cells, *sources]))


class _Dag:
    def __init__(self, study: Study, seconds: Seconds, places: int) -> None:
        self.study, self.seconds, self.places = study, seconds, places
        self.jobs: list[Job] = []

    def add(self, name: str, stage: str, seconds: float, needs: Iterable[int], **ask: int) -> int:
        self.jobs.append(Job(name, stage, seconds, tuple(needs), **ask))
        return len(self.jobs) - 1

    def all(self) -> list[Job]:
        prepared = self._data()
        shards = self._training(prepared)
        self._analysis(prepared, shards)
        return self.jobs

    def _data(self) -> dict[str, int]:
        datasets = dict.fromkeys(cell.dataset for cell in self.study.all_cells())
        sources = {name: self.study.dataset(name).source for name in datasets}
        fetched = {
            source: self.add(source, "fetch", self.seconds.fetch(source), ())
            for source in dict.fromkeys(sources.values())
        }
        return {
            name: self.add(name, "prepare", self.seconds.prepare(name), [fetched[sources[name]]])
            for name in datasets
        }

    def _training(self, prepared: dict[str, int]) -> dict[Cell, list[int]]:
        """Searches, then a job per shard; a frozen method's shard waits for its controllers."""
        study, threads = self.study, self.study.config.training.threads
        done: dict[Cell, list[int]] = {}
        cells = sorted(cells_of(study), key=lambda cell: study.controller_of(cell) is not None)
        for cell in cells:
            needs, ask = [prepared[cell.dataset]], {"cores": threads, "places": self.places}
            if study.searches(cell):
                took = self.seconds.search(cell)
                needs.append(self.add(str(cell), "search", took, needs, priority=2, **ask))
            source, info = study.controller_of(cell), study.entry(cell.method).info
            ask["priority"] = int(info.learns_on != "nothing" and not info.searches)
            by_count = {
                n: self.seconds.train(cell, n) for n in {b - a + 1 for a, b in study.shards()}
            }
            done[cell] = [
                self.add(
                    f"{cell} {first}-{last}",
                    "train",
                    by_count[last - first + 1],
                    [*needs, *([done[source][k]] if source else [])],
                    **ask,
                )
                for k, (first, last) in enumerate(study.shards())
            ]
        return done

    def _analysis(self, prepared: dict[str, int], shards: dict[Cell, list[int]]) -> None:
        study, tested, last = self.study, dict[str, int](), list[int]()

        def add(name: str, stage: str, runs: int, needs: Iterable[int]) -> int:
            return self.add(name, stage, self.seconds.analyse(stage, runs), needs)

        for group in study.reported_groups():
            cells = study.cells(group)
            runs = len(cells) * study.config.study.seeds
            index = add(group, "index", runs, [k for cell in cells for k in shards[cell]])
            budget = add(group, "budget", runs, [index])
            looked = self.seconds.analyse("budget", 0)  # no more than to start and to end
            last.append(self.add(group, "no_crash", looked, [index]))
            tested[group] = add(group, "compare", runs, [index, budget])
        last.append(add("table_1", "table", 0, prepared.values()))
        last += [add(name, "table", 0, [tested[name]]) for name in TABLES]
        for name in study.figures():
            last.append(add(name, "figure", 0, [tested[group] for group in FIGURES[name]]))
        report = add("report", "report", 0, [*last, *tested.values()])
        self.add("all", "all", 0.0, [*last, report])
