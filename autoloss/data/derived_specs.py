"""What is made of another data set's splits: rows that are drawn, labels that are flipped."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from autoloss.names import Name
from autoloss.strict import Number, Strict, mistake


class Region(Strict):
    """The rows whose field has one of these ids: 1 is its most frequent value in training."""

    field: str
    ids: tuple[Annotated[int, Field(ge=1)], ...] = Field(min_length=1)


class Flips(Strict):
    """Labels of two classes that are turned round: a share of the rows of a region, or of all.

    `parts`: whose labels; those of the test rows never are. `dropped`: these rows are taken out
    instead, which leaves the clean part of what would have been flipped.
    """

    share: Number = Field(gt=0, lt=1)
    region: Region | None = None
    parts: tuple[Literal["train", "validation"], ...] = Field(default=("train",), min_length=1)
    dropped: bool = False


def require_rows(rows: int | None, positives: float | None) -> None:
    """Refuse a share of positives among rows of which there is no number."""
    if positives is not None and rows is None:
        problem = "positives is the share among `rows`, which are not given"
        raise mistake(problem, "add rows: as many as are to be drawn", "positives")


class Derived(Strict):
    """What is changed of the prepared splits of another data set, `base`.

    `rows` are drawn, with the base's share of positives or with `positives`; then labels are
    flipped. Rows are hit in an order that depends on `seed` and on their place in the raw table
    alone: what is flipped in a split at one share is flipped at every larger one.
    """

    base: Name
    rows: int | None = Field(default=None, ge=10)
    positives: Number | None = Field(default=None, gt=0, lt=1)
    flips: Flips | None = None
    seed: int = Field(default=42, ge=0)

    @model_validator(mode="after")
    def _changes_something(self) -> Derived:
        require_rows(self.rows, self.positives)
        if self.rows is None and self.flips is None:
            raise mistake("changes nothing of its base", "add rows, or flips")
        return self


class DerivedSpec(Derived):
    """The description of such a data set: its name and title; all else is the base's."""

    name: Name
    title: str
