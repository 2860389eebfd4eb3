"""Methods with something changed: Figure 4's frequencies, the paper's open choices read otherwise.

`configs/sensitivity.yaml` has the readings; docs/deviations.md says what each choice is about.
Imports neither torch nor pandas.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from autoloss.errors import require_known
from autoloss.methods.info import OWN
from autoloss.models import MODELS
from autoloss.names import WORD, at_frequency, two_alike, under_reading
from autoloss.strict import Strict, load_yaml

Word = Annotated[str, Field(pattern=rf"^{WORD}$")]
DEFAULT, AS_BUILT = "default", "as built"  # the name and the label of the reading as built


@dataclass(frozen=True)
class Variant:
    """A method under another name: what is laid over the configuration, and what it is called."""

    base: str
    over: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""


class Change(Strict):
    """Keys laid over the configuration, and the methods whose runs they touch."""

    name: Word
    label: str
    set: dict[str, Any] = Field(default_factory=dict)
    methods: tuple[Word, ...] = Field(default=(OWN,), min_length=1)

    def under(self, method: str) -> str:
        """The method whose runs stand for `method` with this change."""
        return under_reading(method, self.name) if self.set and method in self.methods else method

    def variants(self) -> dict[str, Variant]:
        """Every touched method, by the name that its cells have."""
        touched = self.methods if self.set else ()
        return {self.under(method): Variant(method, self.set, self.label) for method in touched}


class Reading(Change):
    """Another reading of one open choice.

    `auc: weighted` needs no runs: one-vs-rest AUC is averaged by the classes' shares instead.
    """

    choice: str = Field(pattern=r"^[A-Z]\d+$", description="its row in docs/deviations.md")
    auc: Literal["macro", "weighted"] = "macro"

    @model_validator(mode="after")
    def _changes_something(self) -> Reading:
        if bool(self.set) == (self.auc == "weighted"):
            raise ValueError("give `set`, or `auc: weighted`, and not both")
        if self.set and OWN not in self.methods:
            raise ValueError(f"{OWN} must be among `methods`: its change is what is measured")
        return self


class Sensitivity(Strict):
    """The sensitivity study: its model, and the methods whose order is held against the paper's."""

    model: str
    order: tuple[Word, ...] = Field(min_length=3)
    readings: tuple[Reading, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Sensitivity:
        labels = {DEFAULT: AS_BUILT} | {reading.name: reading.label for reading in self.readings}
        if len(labels) <= len(self.readings):
            raise ValueError(f"a reading's name appears twice, or is the built one's, '{DEFAULT}'")
        if alike := two_alike(labels):
            raise ValueError(f"the readings {' and '.join(alike)} have one label")
        return self

    def methods(self) -> list[str]:
        """The methods of the order as they are, then every variant."""
        return [*self.order, *(name for reading in self.readings for name in reading.variants())]


def load_sensitivity(root: Path, methods: Collection[str]) -> Sensitivity:
    """The readings of the project at `root`, whose methods are `methods`.

    Raises:
        ConfigError: the file is wrong, or names a model or method that is not there.
    """
    file = root / "configs" / "sensitivity.yaml"
    sensitivity = load_yaml(file, Sensitivity)
    require_known([sensitivity.model], MODELS, "model", f"{file}, key 'model'")
    named = {"order": sensitivity.order}
    named |= {f"readings.{r.name}.methods": r.methods for r in sensitivity.readings}
    for key, names in named.items():
        require_known(names, methods, "method", f"{file}, key '{key}'")
    return sensitivity


def frequency_variants(method: str, frequencies: Iterable[int]) -> dict[str, Variant]:
    """A method with an outer step every so many steps, by the name that its cells have."""
    return {
        at_frequency(method, every): Variant(
            method, {"methods": {method: {"every": every}}}, f"every = {every}"
        )
        for every in frequencies
    }
