"""A cell of the study's grid."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Cell:
    """Data set x model x method; with a seed it is a run."""

    dataset: str
    model: str
    method: str

    def __str__(self) -> str:
        return f"{self.dataset}/{self.model}/{self.method}"
