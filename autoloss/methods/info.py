"""What a method says of itself, in literals: known without importing its file, and so torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from autoloss.fidelity import Statements

OWN = "autoloss"  # the method the study is about, in autoloss/methods/autoloss.py
Table = Literal["table_2", "table_3", "controls"]
TABLES: tuple[Table, ...] = get_args(Table)  # those a method can ask to stand in
Text = Annotated[str, Field(pattern=r"\S")]


@dataclass(frozen=True, config={"extra": "forbid"})
class Info:
    """A method's metadata: it names, cites and places it; it feeds tables and docs.

    Args:
        name: the file's name without `.py`; the key in configs, records and paths.
        label: what tables print.
        summary: one line, what it does.
        paper: the work it comes from, with venue and year.
        weights: what it gives weights to: "one candidate", "global" or "per example".
        learns_on: what its weighting learns on: "nothing", "training" or "validation".
        tables: the tables it stands in; Table 2 unless said otherwise; () for none.
        fidelity: what its source says and what is done here, each an `autoloss.fidelity.Statement`;
            of a method with a base only what is its own.
        base: a method whose options it inherits (a variant of that method).
        searches: constant weights, found by a search before the seeds are trained.
        trials_per_candidate: so many trials its search needs for each candidate, beside one at
            equal weights.
        frozen: the learned method whose trained controller it takes and holds still (Figure 3).
        refits: trained again on training and validation data, for the epochs that were best.
        simplex: the weights of every example are at least 0 and sum to 1.
        losses: options of the section `losses` that it sets, whatever the configuration has there.
        options: its options with their defaults; a config may override these and no others.
        choices: for options that are one of a few words or numbers, these.
        tune: what the tuned protocol searches: per option `("log", low, high)`,
            `("uniform", low, high)`, `("times", low, high)` (multiples of the configuration's
            value, on a log scale) or `("choice", a, b, ...)`.
        untuned: options that it does not search, each with the reason; beside those of a base that
            it sets itself.

    Raises:
        ValidationError: an argument is unknown or not of its kind.
    """

    name: str
    label: Text
    summary: Text
    paper: Text
    weights: Literal["one candidate", "global", "per example"]
    learns_on: Literal["nothing", "training", "validation"]
    tables: tuple[Table, ...] = ("table_2",)
    fidelity: Statements = ()
    base: str | None = None
    frozen: str | None = None
    searches: bool = False
    trials_per_candidate: int = 0
    refits: bool = False
    simplex: bool = True
    losses: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    tune: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    untuned: Mapping[str, str] = field(default_factory=dict)

    @model_validator(mode="after")
    def _frozen_stands_in_figure_3(self) -> Self:
        if self.frozen and self.tables:
            raise ValueError("set tables=(): a frozen method stands in Figure 3")
        return self

    @property
    def given(self) -> bool:
        """Whether its weights are given: not learned or searched for, here or by what it froze."""
        return self.learns_on == "nothing" and not self.frozen


@dataclass(frozen=True)
class Entry:
    """A method on disk: its metadata, its file, the class in it, and the losses that it needs.

    These are known where the class's `constant` is written in literals. It is `plain` if it weighs
    these by it and has no code of its own: no other loss's constant matters to it.
    """

    info: Info
    file: Path
    class_name: str
    needs: tuple[str, ...] = ()
    plain: bool = False
