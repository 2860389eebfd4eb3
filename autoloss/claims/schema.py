"""The claim registry: `configs/claims.yaml`, typed, every name checked against what there is.

Imports neither torch nor pandas: the Snakefile asks which groups of runs the claims need.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from autoloss.claims.measures import MEASURES
from autoloss.errors import ConfigError, did_you_mean
from autoloss.registry import GROUPS, MODELS, OWN, discover
from autoloss.report.published import Cells, Published, load_published
from autoloss.strict import Strict, load_yaml
from autoloss.study import Study

FILE = Path("configs") / "claims.yaml"
STATED = ("table_2", "table_3", "figure_3", "figure_4_hours", "figure_4_frequency")
EVERY = re.compile(rf"{OWN}_every_(\d+)")  # variants: which there are, the study says
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Size = Annotated[float, Field(gt=0)]


class Minimum(Strict):
    """The minimum effect of interest: half of what the paper states, or sizes of our own."""

    half_of: Literal["smallest", "mean"] | None = Field(
        default=None, description="of the gains that the paper states for this claim's comparisons"
    )
    effects: dict[str, Size] = Field(default={}, description="by metric, where not half of those")
    why: str = Field(default="", description="where `effects` come from")


class Claim(Strict):
    """A statement: each of `methods` against each of `others`, on all data sets and models."""

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    sentence: str
    origin: Literal["paper", "reviewers"]
    section: str = Field(default="", description="of the paper")
    published: tuple[str, ...] = Field(default=(), description="where published.yaml has it")
    stated: str = Field(default="", description="what the paper says beyond published.yaml")
    family: str
    groups: Names = Field(description="of runs: their indexes hold the evidence")
    data: Names = Field(description="the paper's data sets; ours stand for them")
    models: Names
    methods: Names
    others: Names
    metrics: Names
    beside: tuple[str, ...] = Field(default=(), description="shown, not judged")
    direction: Literal["better", "differs"] = "better"
    minimum: Minimum
    protocol: Literal["published", "tuned"] | None = Field(
        default=None, description="the only one in which it can be judged"
    )

    def pairs(self) -> Iterator[tuple[str, str, str, str]]:
        """Data set, model, method and other method of every comparison."""
        return product(self.data, self.models, self.methods, self.others)


class Listed(Strict):
    """The file: families, each a question whose comparisons Holm corrects together, and claims."""

    families: dict[str, str]
    claims: tuple[Claim, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Registry:
    """The claims, the paper's numbers that they rest on, and the file's SHA-256."""

    claims: tuple[Claim, ...]
    families: Mapping[str, str]
    published: Published
    sha256: str

    def stated(self, claim: Claim, metric: str, pair: tuple[str, str, str, str]) -> float | None:
        """The gain that the paper states, None where it states none."""
        data, model, ours, other = pair
        values = [self._value(claim, metric, data, model, method) for method in (ours, other)]
        if values[0] is None or values[1] is None:
            return None
        return MEASURES[metric].gain(values[0], values[1])

    def _value(self, claim: Claim, metric: str, data: str, model: str, method: str) -> float | None:
        every = EVERY.fullmatch(method)
        for name in claim.published:
            cells: Cells = getattr(self.published, name)
            found = cells.of(data, model).get(MEASURES[metric].published, {})
            value = found.get(method, found.get(int(every[1])) if every else None)
            if value is not None:
                return value
        return None

    def minimum(self, claim: Claim, metric: str) -> float:
        """The minimum effect of interest of a claim, by a metric.

        Raises:
            ConfigError: the claim gives none, or the paper states no gains to halve.
        """
        if metric in claim.minimum.effects:
            return claim.minimum.effects[metric]
        gains = [self.stated(claim, metric, pair) for pair in claim.pairs()]
        known = [gain for gain in gains if gain is not None]
        half_of = claim.minimum.half_of
        size = 0.0
        if half_of and known:
            size = round((min(known) if half_of == "smallest" else sum(known) / len(known)) / 2, 6)
        if size <= 0:
            mend = f"add `effects: {{{metric}: ...}}`, or a `published` table that has such gains"
            raise ConfigError(_where(claim, "minimum"), f"gives none for {metric}", mend)
        return size


def load_claims(root: Path) -> Registry:
    """The claims of the project at `root`.

    Raises:
        ConfigError: a key, method, model, metric, group, family or data set that is not there.
    """
    listed = load_yaml(root / FILE, Listed)
    digest = hashlib.sha256((root / FILE).read_bytes()).hexdigest()
    registry = Registry(listed.claims, listed.families, load_published(root), digest)
    data = {name for stated in STATED for name in getattr(registry.published, stated).values}
    methods = set(discover())
    seen: set[str] = set()
    for claim in registry.claims:
        if claim.id in seen:
            raise ConfigError(_where(claim, "id"), "is there twice", "choose another id")
        seen.add(claim.id)
        named = {name for name in (*claim.methods, *claim.others) if not EVERY.fullmatch(name)}
        _check(claim, "methods", named, methods)
        _check(claim, "models", claim.models, MODELS)
        _check(claim, "metrics", (*claim.metrics, *claim.beside, *claim.minimum.effects), MEASURES)
        _check(claim, "groups", claim.groups, GROUPS)
        _check(claim, "family", [claim.family], listed.families)
        _check(claim, "published", claim.published, STATED)
        _check(claim, "data", claim.data, data)
        for metric in (*claim.metrics, *claim.beside):
            registry.minimum(claim, metric)
    return registry


def _check(claim: Claim, key: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = set(known)
    for name in names:
        if name not in known:
            raise ConfigError(
                _where(claim, key), f"there is no '{name}'", did_you_mean(name, known)
            )


def _where(claim: Claim, key: str) -> str:
    return f"{FILE.as_posix()}, claim '{claim.id}', key '{key}'"


def claimed_groups(study: Study) -> list[str]:
    """The groups that the claims are judged on, those in which the study runs our method."""
    named = {group for claim in load_claims(study.root).claims for group in claim.groups}
    return [group for group in GROUPS if group in named and study.has(group)]
