"""The configuration: typed, complete, and strict (an unknown key is an error).

`configs/default.yaml` holds every key; `configs/scale/<scale>.yaml` is laid over it; what the user
passes (`--configfile`) over that. Imports neither torch nor pandas: the Snakefile reads this.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt, create_model, model_validator

from autoloss.errors import ConfigError, require_known
from autoloss.folder import entries
from autoloss.methods.discover import discover
from autoloss.methods.options import inherited
from autoloss.names import StudyName, is_word
from autoloss.strict import Keys, Number, Strict, check, mistake, parse_yaml, read_yaml


def _in_order(domain: tuple[str, float, float]) -> tuple[str, float, float]:
    kind, low, high = domain
    if not low < high or (kind == "log" and low <= 0):
        mend = "write the lower end first, and for 'log' one above 0"
        raise mistake(f"there is nothing in the range {list(domain)}", mend)
    return domain


def _once(names: tuple[Any, ...]) -> tuple[Any, ...]:
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise mistake(f"{', '.join(twice)} is in it more than once", "name each once")
    return names


Positive = Annotated[StrictInt, Field(ge=1)]
Share = Annotated[Number, Field(ge=0, lt=1)]
Domain = Annotated[tuple[Literal["log", "uniform"], Number, Number], AfterValidator(_in_order)]
Names = Annotated[tuple[str, ...], AfterValidator(_once)]


class Pair(Strict):
    """A data set and a model."""

    dataset: str
    model: str

    def __str__(self) -> str:
        return f"{self.dataset}/{self.model}"


class StudyOptions(Strict):
    """What is run: the grid of the tables, and what the figures need beyond it."""

    name: StudyName | None = Field(
        default=None, description="of results/<name> and figures/<name>; null: the scale's"
    )
    datasets: Names = Field(min_length=1, description="data sets of Table 2")
    component_datasets: Names = Field(
        min_length=1, description="data sets of Table 3 (the paper: Criteo alone)"
    )
    models: Names = Field(min_length=1)
    control_models: Names = Field(min_length=1, description="models of the controls' table")
    source: Pair = Field(
        description="where Figure 3's controller is trained, and where Figure 4 looks"
    )
    targets: Annotated[tuple[Pair, ...], AfterValidator(_once)] = Field(
        min_length=1, description="Figure 3: what the frozen controller trains"
    )
    frequencies: Annotated[tuple[Positive, ...], AfterValidator(_once)] = Field(
        min_length=1, description="Figure 4 (b, c): steps between outer steps"
    )
    methods: Names | None = Field(
        default=None, description="only these methods; null: all that there are"
    )
    seeds: Positive = Field(description="runs per cell")
    first_seed: Annotated[StrictInt, Field(ge=0)] = Field(
        description="runs have this seed and those that follow; splits are numbered from it"
    )
    splits: Positive = Field(description="run k of a cell trains and tests on split k mod splits")
    seeds_per_job: Positive = Field(description="seeds trained by one process")
    max_rows: Positive | None = Field(
        default=None, description="use a random sample of so many rows; null: all"
    )
    fail_fast: StrictBool = Field(
        default=False, description="the first error of a method's code stops the study"
    )

    def named_datasets(self) -> list[str]:
        """The data sets of tables and figures, each once."""
        pairs = (pair.dataset for pair in (self.source, *self.targets))
        return list(dict.fromkeys((*self.datasets, *self.component_datasets, *pairs)))


class _CommonModelOptions(Strict):
    embedding_dim: Positive = 16
    hidden: tuple[Positive, ...] = (128, 128)
    dropout: Share = 0.2
    batch_norm: StrictBool = True


class _CommonLossOptions(Strict):
    candidates: Names = Field(default=("focal", "kl", "hinge", "ce"), min_length=1)
    normalise: Literal["none", "chance"] = "none"


def _declared(room: str, common: type[Strict]) -> Any:
    """`common` with the options that the files in `autoloss/<room>` declare.

    Raises:
        ConfigError: an option's name is no word, or is there already; or what it divides is no
            whole number.
    """
    declared = [
        (name, *item) for name, info in entries(room).items() for item in info.options.items()
    ]
    defaults = {key: about.default for key, about in common.model_fields.items()}
    fields: dict[str, Any] = {}
    for name, key, option in declared:
        if key in defaults or hasattr(Strict, key) or not is_word(key):
            problem = f"declares '{key}', which is there already or no plain word"
            raise ConfigError(f"autoloss/{room}/{name}.py", problem, "rename it")
        defaults[key] = option.default
        about = Field(default=option.default, description=option.description)
        fields[key] = (option.values, about)
    for name, key, option in declared:
        if option.divides and type(defaults.get(option.divides)) is not int:
            problem = f"'{key}' divides '{option.divides}', which is no whole number"
            mend = "name a key of the section whose default is one"
            raise ConfigError(f"autoloss/{room}/{name}.py", problem, mend)
    return create_model(f"{room.capitalize()}Options", __base__=common, **fields)


class ModelOptions(_declared("models", _CommonModelOptions), _CommonModelOptions):  # type: ignore[misc]
    """Sizes of the DRS (paper §3.3), and what the files in `autoloss/models` declare."""

    @model_validator(mode="after")
    def _divisors_divide(self) -> ModelOptions:
        for info in entries("models").values():
            for key, option in info.options.items():
                whole = option.divides
                if whole and getattr(self, whole) % (part := getattr(self, key)):
                    size = getattr(self, whole)
                    problem = f"{key} ({part}) must divide {whole} ({size})"
                    fits = [str(k) for k in range(1, min(size, 64) + 1) if size % k == 0]
                    raise mistake(problem, f"write one of {', '.join(fits)}", key)
        return self


class LossOptions(_declared("losses", _CommonLossOptions), _CommonLossOptions):  # type: ignore[misc]
    """The candidate losses, and the constants that the files in `autoloss/losses` declare."""


class TrainingOptions(Strict):
    """The training loop, the same for every method."""

    batch_size: Annotated[StrictInt, Field(ge=2)]
    max_epochs: Positive
    patience: Positive = Field(description="epochs without a better validation value, then stop")
    monitor: Literal["auc", "logloss"] = "auc"
    validation: Literal["whole", "halves"] = Field(
        default="whole",
        description="what weightings learn on also stops and calibrates, or each has a half",
    )
    lr: Number = Field(gt=0)
    weight_decay: Number = Field(ge=0)
    decoupled_weight_decay: StrictBool = False
    table_updates: Literal["auto", "dense", "deferred"] = "auto"
    device: str = Field(pattern=r"^(cpu|cuda(:\d+)?|auto)$")
    jobs_per_gpu: Positive = Field(default=1, description="jobs that share a GPU of this machine")
    threads: Positive = Field(description="threads of one job, on the CPU")
    checkpoint_seconds: Number = Field(ge=0, description="at most so often, between two steps")


class SharedDomains(Strict):
    """What the tuned protocol searches for every method: keys of `training`."""

    lr: Domain
    weight_decay: Domain


class TuningOptions(Strict):
    """The budget of a search, the same for every method: `trials` x `training.max_epochs` epochs.

    A searching method (BOHB, grid) spends it on the candidates' weights; in the tuned protocol
    every method spends it on its own options, its losses' constants and the `shared` keys too.
    """

    trials: Positive
    seed: StrictInt = Field(ge=0, description="of the trials' trainings and of the sampler")
    shared: SharedDomains


class StatisticsOptions(Strict):
    """Significance and intervals (docs/statistics.md)."""

    alpha: Number = Field(gt=0, lt=1)
    confidence: Number = Field(gt=0, lt=1)
    resamples: Annotated[StrictInt, Field(ge=100)]
    ours: Names = Field(
        min_length=1, max_length=9, description="what is claimed to be better: set against the rest"
    )


class Config(Strict):
    """A whole study."""

    scale: StudyName
    protocol: Literal["published", "tuned"] = Field(
        description="hyper-parameters: the published ones for all, or everything tuned for all"
    )
    study: StudyOptions
    model: ModelOptions
    losses: LossOptions
    training: TrainingOptions
    tuning: TuningOptions
    statistics: StatisticsOptions
    methods: dict[str, dict[str, Any]] = Field(description="overrides of methods' options, by name")


Given = Sequence[tuple[str, dict[str, Any]]]  # keys with the place where they are, lowest first


def load_config(overrides: Mapping[str, Any], root: Path, given: Given = ()) -> Config:
    """The configuration of a study: default, then its scale, then `overrides`.

    What it says of a method holds for those based on it, too (`methods.options.inherited`).

    Args:
        given: what `overrides` are merged from, for messages.

    Raises:
        ConfigError: naming file and key, what was expected and the nearest known name.
    """
    below = [*layers(overrides, root).items()]
    asked = [("config", dict(overrides))]
    places = [*below, *(given or asked)]
    config = check(Config, merged([*below, *asked]), lambda keys: _place(places, keys))
    methods = inherited(config.methods, discover(), config.study.methods)
    return config.model_copy(update={"methods": methods})


def layers(overrides: Mapping[str, Any], root: Path) -> dict[str, dict[str, Any]]:
    """What lies below `overrides`, by file, the lowest first: the default, then the scale.

    Raises:
        ConfigError: there is no such scale, or a file is not YAML.
    """
    file = root / "configs" / "default.yaml"
    default = read_yaml(file)
    scale = str(overrides.get("scale", default.get("scale")))
    scales = {file.stem: file for file in (root / "configs" / "scale").glob("*.yaml")}
    require_known([scale], scales, "scale", "scale")
    both = {file: default, scales[scale]: read_yaml(scales[scale])}
    return {file.relative_to(root).as_posix(): keys for file, keys in both.items()}


def _place(places: Given, keys: Keys) -> str:
    """Which of these sets a key: the highest, or the one that has the most of the way to it."""

    def depth(content: Any) -> int:
        for k, key in enumerate(keys):
            if not isinstance(content, Mapping) or key not in content:
                return k
            content = content[key]
        return len(keys)

    return max(reversed(places), key=lambda place: depth(place[1]))[0]


def overlay(config: Config, overrides: Mapping[str, Any], where: str) -> Config:
    """`config` with `overrides` laid over it; errors name `where` the overrides come from."""
    return check(Config, _merge(config.model_dump(mode="json"), overrides), where)


def flat(config: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of nested keys, by dotted key."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def read_given(files: Iterable[Path], arguments: Iterable[str] = ()) -> Given:
    """What a user lays over a scale: the keys of `files`, then of `arguments`, each `key=value`.

    As `snakemake --configfile` and `--config` mean it, but read here: a value is YAML, so that
    numbers inside `study={"seeds": 2}` are numbers.

    Raises:
        ConfigError: a file or an argument is not YAML, or has no keys.
    """
    given = [(str(file), read_yaml(file)) for file in files]
    for argument in arguments:
        key, _, value = argument.partition("=")
        given.append(("--config", {key: parse_yaml(value, f"--config {key}")}))
    return given


def read_overrides(files: Iterable[Path], arguments: Iterable[str] = ()) -> dict[str, Any]:
    """What `read_given` gives, merged."""
    return merged(read_given(files, arguments))


def pack(config: Config) -> str:
    """A configuration as one word of letters, digits, - and _, to hand to a job."""
    text = config.model_dump_json().encode()
    return base64.urlsafe_b64encode(zlib.compress(text, 9)).decode()


def unpack(word: str) -> Config:
    """The configuration that was packed, whatever the files in `configs/` say by now."""
    return Config.model_validate_json(zlib.decompress(base64.urlsafe_b64decode(word)))


def merged(given: Given) -> dict[str, Any]:
    """All keys, those of a later place laid over those of an earlier one."""
    whole: dict[str, Any] = {}
    for _, keys in given:
        whole = _merge(whole, keys)
    return whole


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
