"""What a command is given as words: the cell and the seeds that they name."""

from __future__ import annotations

from autoloss.data.registry import dataset_names
from autoloss.errors import ConfigError, did_you_mean
from autoloss.registry import MODELS
from autoloss.study import Cell, Study


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
