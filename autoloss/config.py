"""The configuration: typed, complete, and strict (an unknown key is an error).

`configs/default.yaml` holds every key; `configs/scale/<scale>.yaml` is laid over it; what the user
passes (`--configfile`) over that. Imports neither torch nor pandas: the Snakefile reads this.
"""

from __future__ import annotations

import base64
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from autoloss.errors import ConfigError, did_you_mean
from autoloss.names import StudyName
from autoloss.strict import Strict, check, parse_yaml, read_yaml


def _no_truth(value: Any) -> Any:
    """Python takes true for 1; a configuration that says so was not meant so."""
    if isinstance(value, bool):
        raise ValueError("a number is expected, not true or false")
    return value


def _in_order(domain: tuple[str, float, float]) -> tuple[str, float, float]:
    kind, low, high = domain
    if not low < high or (kind == "log" and low <= 0):
        raise ValueError("give the lower end first, and for 'log' one above 0")
    return domain


def _once(names: tuple[Any, ...]) -> tuple[Any, ...]:
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)} is in it more than once")
    return names


# A float may be written 1e-3, which is text in YAML; an int is an int.
Number = Annotated[float, BeforeValidator(_no_truth), Field(allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True)]
Switch = Annotated[bool, Field(strict=True)]
Positive = Annotated[Whole, Field(ge=1)]
Share = Annotated[Number, Field(ge=0, lt=1)]
Domain = Annotated[
    tuple[Literal["log", "uniform"], Number, Number],
    AfterValidator(_in_order),
]
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
        default=None, description="only these methods; null: all that are found"
    )
    seeds: Positive = Field(description="runs per cell; run s has seed s")
    seeds_per_job: Positive = Field(description="seeds trained by one process")
    max_rows: Positive | None = Field(
        default=None, description="use a random sample of so many rows; null: all"
    )


class ModelOptions(Strict):
    """Sizes of the DRS (paper §3.3)."""

    embedding_dim: Positive = 16
    hidden: tuple[Positive, ...] = (128, 128)
    dropout: Share = 0.2
    batch_norm: Switch = True
    attention_dim: Positive = Field(default=16, description="AutoInt's, of all heads together")
    attention_heads: Positive = Field(default=2, description="AutoInt's; they divide its dim")
    attention_layers: Positive = Field(default=3, description="AutoInt's")

    @model_validator(mode="after")
    def _heads_are_equal(self) -> ModelOptions:
        if self.attention_dim % self.attention_heads:
            raise ValueError(
                f"attention_heads ({self.attention_heads}) must divide attention_dim "
                f"({self.attention_dim})"
            )
        return self


class LossOptions(Strict):
    """The candidate losses and their constants (the paper names them and gives none)."""

    candidates: Names = Field(default=("focal", "kl", "hinge", "ce"), min_length=1)
    focal_gamma: Number = Field(default=2.0, ge=0)
    kl_smoothing: Share = 0.1
    hinge_on: Literal["probability", "logit"] = "probability"
    normalise: Literal["none", "chance"] = "none"


class TrainingOptions(Strict):
    """The training loop, the same for every method."""

    batch_size: Annotated[Whole, Field(ge=2)]
    max_epochs: Positive
    patience: Positive = Field(description="epochs without a better validation value, then stop")
    monitor: Literal["auc", "logloss"] = "auc"
    lr: Number = Field(gt=0)
    weight_decay: Number = Field(ge=0)
    decoupled_weight_decay: Switch = False
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
    every other method spends it on its own options and on the `shared` ones.
    """

    trials: Positive
    seed: Whole = Field(ge=0, description="of the trials' trainings and of the sampler")
    shared: SharedDomains


class StatisticsOptions(Strict):
    """Significance and intervals (docs/statistics.md)."""

    alpha: Number = Field(gt=0, lt=1)
    confidence: Number = Field(gt=0, lt=1)
    resamples: Annotated[Whole, Field(ge=100)]


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


def load_config(overrides: Mapping[str, Any], root: Path) -> Config:
    """The configuration of a study: default, then its scale, then `overrides`.

    Raises:
        ConfigError: naming the key, what was expected and the nearest known name.
    """
    default = read_yaml(root / "configs" / "default.yaml")
    scale = str(overrides.get("scale", default.get("scale")))
    overlay = root / "configs" / "scale" / f"{scale}.yaml"
    if not overlay.exists():
        known = [file.stem for file in overlay.parent.glob("*.yaml")]
        raise ConfigError("scale", f"no scale is called '{scale}'", did_you_mean(scale, known))
    merged = _merge(_merge(default, read_yaml(overlay)), overrides)
    return check(Config, merged, "config")


def overlay(config: Config, overrides: Mapping[str, Any], where: str) -> Config:
    """`config` with `overrides` laid over it; errors name `where` the overrides come from."""
    return check(Config, _merge(config.model_dump(mode="json"), overrides), where)


def read_overrides(files: Iterable[Path], arguments: Iterable[str] = ()) -> dict[str, Any]:
    """What a user lays over a scale: the keys of `files`, then `arguments`, each `key=value`.

    As `snakemake --configfile` and `--config` mean it, but read here: a value is YAML, so that
    numbers inside `study={"seeds": 2}` are numbers.

    Raises:
        ConfigError: a file or an argument is not YAML, or has no keys.
    """
    merged: dict[str, Any] = {}
    for file in files:
        merged = _merge(merged, read_yaml(file))
    for argument in arguments:
        key, _, value = argument.partition("=")
        merged = _merge(merged, {key: parse_yaml(value, f"--config {key}")})
    return merged


def pack(config: Config) -> str:
    """A configuration as one word of letters, digits, - and _, to hand to a job."""
    text = config.model_dump_json().encode()
    return base64.urlsafe_b64encode(zlib.compress(text, 9)).decode()


def unpack(word: str) -> Config:
    """The configuration that was packed, whatever the files in `configs/` say by now."""
    return Config.model_validate_json(zlib.decompress(base64.urlsafe_b64decode(word)))


def _merge(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged
