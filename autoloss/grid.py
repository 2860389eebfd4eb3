"""The grid: which cells a table or a figure has, in its order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from autoloss.variants import frequency_variants

if TYPE_CHECKING:
    from autoloss.study import Study

COMPARED = ("ce", "slf")  # the rows of Figure 3 beside the frozen controller
TIMED = ("melu", "bohb", "darts", "slf", "autoloss")  # the bars of Figure 4 (a)


@dataclass(frozen=True, order=True)
class Cell:
    """Data set x model x method; with a seed it is a run."""

    dataset: str
    model: str
    method: str

    def __str__(self) -> str:
        return f"{self.dataset}/{self.model}/{self.method}"


def cells_of(study: Study, group: str) -> list[Cell]:
    """The cells of a group of runs (`autoloss.registry.GROUPS`)."""
    options = study.config.study
    if group == "figure_3":
        frozen = [name for name, entry in study.methods.items() if entry.info.frozen]
        names = _chosen(study, (*COMPARED, *frozen))
        return [Cell(pair.dataset, pair.model, m) for pair in options.targets for m in names]
    if group == "figure_4":
        every = frequency_variants(options.frequencies)
        others = [method for method in every if study.plain(method) == method]
        names = _chosen(study, (*TIMED, *others))
        return [Cell(options.source.dataset, options.source.model, m) for m in names]
    if group == "sensitivity":
        names, model = _chosen(study, study.sensitivity.methods()), study.sensitivity.model
        return [Cell(dataset, model, m) for dataset in options.datasets for m in names]
    return [
        Cell(dataset, model, method)
        for dataset in study.table_datasets(group)
        for model in study.table_models(group)
        for method in study.table_methods(group)
    ]


def _chosen(study: Study, methods: Iterable[str]) -> list[str]:
    """Of these, the ones that the study has."""
    known = {*study.methods, *study.variants}
    return [m for m in dict.fromkeys(methods) if m in known and study.takes(m)]
