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

from autoloss.errors import ConfigError, did_you_mean
from autoloss.names import WORD, at_frequency, plain, two_alike, under_reading
from autoloss.registry import MODELS, OWN
from autoloss.strict import Strict, load_yaml

Word = Annotated[str, Field(pattern=rf"^{WORD}$")]
DEFAULT, AS_BUILT = "default", "as built"  # the name and the label of the reading as built


@dataclass(frozen=True)
class Variant:
    """A method under another name: what is laid over the configuration, and what it is called."""

    base: str
    over: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def options(self) -> Mapping[str, Any]:
        """The method's own options among what is changed."""
        found: Mapping[str, Any] = self.over.get("methods", {}).get(self.base, {})
        return found


class Reading(Strict):
    """Another reading of one open choice: the keys that it sets, and the methods that they touch.

    `auc: weighted` needs no runs: one-vs-rest AUC is averaged by the classes' shares instead.
    """

    name: Word
    choice: str = Field(pattern=r"^[A-Z]\d+$", description="its row in docs/deviations.md")
    label: str
    set: dict[str, Any] = Field(default_factory=dict)
    methods: tuple[Word, ...] = (OWN,)
    auc: Literal["macro", "weighted"] = "macro"

    @model_validator(mode="after")
    def _changes_something(self) -> Reading:
        if bool(self.set) == (self.auc == "weighted"):
            raise ValueError("give `set`, or `auc: weighted`, and not both")
        if self.set and OWN not in self.methods:
            raise ValueError(f"{OWN} must be among `methods`: its change is what is measured")
        return self

    def variant(self, method: str) -> str:
        """The name of a method under this reading."""
        return under_reading(method, self.name)

    def under(self, method: str) -> str:
        """The method whose runs stand for `method` under this reading."""
        return self.variant(method) if self.set and method in self.methods else method

    def variants(self) -> dict[str, Variant]:
        """Every touched method, by the name that its cells have."""
        over = _nested(self.set)
        touched = self.methods if self.set else ()
        return {self.variant(method): Variant(method, over, self.label) for method in touched}


class Sensitivity(Strict):
    """The sensitivity study: its model, and the methods whose order is held against the paper's."""

    model: str
    order: tuple[Word, ...] = Field(min_length=3)
    readings: tuple[Reading, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_distinct(self) -> Sensitivity:
        names = [reading.name for reading in self.readings]
        if len(set(names)) < len(names):
            raise ValueError(f"a reading's name appears twice in {names}")
        labels = {reading.name: reading.label for reading in self.readings}
        if DEFAULT in names or plain(AS_BUILT) in map(plain, labels.values()):
            raise ValueError(f"'{DEFAULT}' and '{AS_BUILT}' are the reading that is built")
        alike = two_alike(labels)
        if alike:
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
    found = load_yaml(file, Sensitivity)
    named = {"model": (found.model,), "order": found.order}
    named |= {f"readings.{reading.name}.methods": reading.methods for reading in found.readings}
    for key, names in named.items():
        known = MODELS if key == "model" else methods
        for name in names:
            if name not in known:
                hint = did_you_mean(name, known)
                raise ConfigError(f"{file}, key '{key}'", f"there is no '{name}'", hint)
    return found


def frequency_variants(frequencies: Iterable[int]) -> dict[str, Variant]:
    """Our method with an outer step every so many steps, by the name that its cells have."""
    return {
        at_frequency(OWN, every): Variant(
            OWN, {"methods": {OWN: {"every": every}}}, f"every = {every}"
        )
        for every in frequencies
    }


def _nested(keys: Mapping[str, Any]) -> dict[str, Any]:
    """`{"losses.focal_gamma": 1}` as `{"losses": {"focal_gamma": 1}}`."""
    found: dict[str, Any] = {}
    for key, value in keys.items():
        *path, last = key.split(".")
        part = found
        for name in path:
            part = part.setdefault(name, {})
        part[last] = value
    return found
