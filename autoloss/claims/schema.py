"""The claim registry: `configs/claims.yaml`, typed, every name checked against what there is.

Imports neither torch nor pandas: the Snakefile asks which groups of runs the claims need.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from autoloss.claims.measures import DECIDING, MEASURES
from autoloss.data.specs import dataset_names
from autoloss.errors import ConfigError, did_you_mean
from autoloss.methods.discover import discover
from autoloss.methods.info import OWN
from autoloss.models import MODELS
from autoloss.report.published import Cells, Published, load_published
from autoloss.strict import Strict, load_yaml
from autoloss.study.groups import GROUPS
from autoloss.study.study import Study

FILE = Path("configs") / "claims.yaml"
STATED = ("table_2", "table_3", "figure_3", "figure_4_hours", "figure_4_frequency")
EVERY = re.compile(r"(\w+)_every_(\d+)")  # variants: which there are, the study says
OWN_CLAIM = "own"  # the origin of claims of one's own, and their family if they name none
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Size = Annotated[float, Field(gt=0)]


class Minimum(Strict):
    """The smallest effect of interest: half of what the paper states, or sizes of our own."""

    half_of: Literal["smallest", "mean"] | None = Field(
        default=None, description="of the gains that the paper states for this claim's comparisons"
    )
    effects: dict[str, Size] = Field(default={}, description="by metric, where not half of those")
    why: str = Field(default="", description="where `effects` come from")


class Claim(Strict):
    """A statement: each of `methods` against each of `others`, on all data sets and models."""

    id: str = Field(pattern=r"^[a-z0-9_]+$")
    sentence: str
    origin: Literal["paper", "reviewers", "own"]
    section: str = Field(default="", description="of the paper")
    published: tuple[str, ...] = Field(default=(), description="where published.yaml has it")
    stated: str = Field(default="", description="what the paper says beyond published.yaml")
    family: str = OWN_CLAIM
    groups: Names = Field(description="of runs: their indexes hold the evidence")
    data: Names = Field(description="the paper's data sets; ours stand for them, or are named")
    needs: tuple[str, ...] = Field(
        default=(), description="the paper's data sets for which nothing else can stand"
    )
    models: Names
    methods: tuple[str, ...] = Field(default=(), description="the claim is of all of them")
    readings: tuple[str, ...] = Field(default=(), description="or of each, judged by itself")
    others: Names
    metrics: Names = DECIDING
    beside: tuple[str, ...] = Field(default=("logloss",), description="shown, not judged")
    minimum: Minimum
    protocol: Literal["published", "tuned"] | None = Field(
        default=None, description="the only one in which it can be judged"
    )

    @property
    def judged(self) -> list[tuple[str, ...]]:
        """The methods of each verdict: all of the claim's, or one reading after the other."""
        return [(name,) for name in self.readings] or [self.methods]

    def pairs(self, methods: Iterable[str]) -> Iterator[tuple[str, str, str, str]]:
        """Data set, model, method and other method of every comparison of `methods`."""
        return product(self.data, self.models, methods, self.others)


class Listed(Strict):
    """The file: families, each a question whose comparisons Holm corrects together, and claims."""

    history: str = Field(default="", description="what had been seen when the rules were made")
    families: dict[str, str]
    readings: dict[str, str] = Field(default={}, description="methods, in the words of a verdict")
    claims: tuple[Claim, ...] = Field(min_length=1)


class Threshold(NamedTuple):
    """A smallest effect of interest, and where it is from."""

    size: float
    basis: str


@dataclass(frozen=True)
class Registry:
    """The file's content, the paper's numbers that it rests on, and its SHA-256."""

    listed: Listed
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
            stated = cells.of(data, model).get(MEASURES[metric].published, {})
            at_f = stated.get(int(every[2])) if every and every[1] == OWN else None
            value = stated.get(method, at_f)
            if value is not None:
                return value
        return None

    def minimum(self, claim: Claim, metric: str) -> Threshold:
        """The smallest effect of interest of a claim, whatever its runs come to.

        Raises:
            ConfigError: it gives none, or the paper states no gains to halve.
        """
        if metric in claim.minimum.effects:
            return Threshold(claim.minimum.effects[metric], claim.minimum.why)
        half_of = claim.minimum.half_of
        pairs = claim.pairs((*claim.methods, *claim.readings))
        gains = [self.stated(claim, metric, pair) for pair in pairs]
        known = [gain for gain in gains if gain is not None]
        size = 0.0
        if half_of and known:
            size = (min(known) if half_of == "smallest" else sum(known) / len(known)) / 2
        if size <= 0:
            mend = f"add `effects: {{{metric}: ...}}`, or a `published` table that has such gains"
            raise ConfigError(_where(claim, "minimum"), f"gives none for {metric}", mend)
        return Threshold(float(f"{size:.12g}"), f"half of the {half_of} published gain")


def load_claims(root: Path) -> Registry:
    """The claims of the project at `root`.

    Raises:
        ConfigError: a key, method, model, metric, group, family or data set that is not there.
    """
    listed = load_yaml(root / FILE, Listed)
    digest = hashlib.sha256((root / FILE).read_bytes()).hexdigest()
    registry = Registry(listed, load_published(root), digest)
    methods = set(discover())
    _check(None, "readings", listed.readings, methods)
    seen: set[str] = set()
    for claim in listed.claims:
        if claim.id in seen:
            raise ConfigError(_where(claim, "id"), "is there twice", "choose another id")
        seen.add(claim.id)
        _check_claim(registry, claim, methods, dataset_names(root))
    return registry


def _check_claim(
    registry: Registry, claim: Claim, methods: Set[str], datasets: Iterable[str]
) -> None:
    """Every name of a claim is known, and each of its metrics can be decided by."""
    if bool(claim.methods) == bool(claim.readings):
        mend = "give the methods that it is of all together, or each reading by itself"
        raise ConfigError(_where(claim, "methods"), "one of it and `readings` is due", mend)
    data = {name for stated in STATED for name in getattr(registry.published, stated).values}
    every = {name: EVERY.fullmatch(name) for name in (*claim.methods, *claim.others)}
    named = {m[1] if m and name not in methods else name for name, m in every.items()}
    families = {*registry.listed.families, *[OWN_CLAIM] * (claim.origin == OWN_CLAIM)}
    _check(claim, "methods", named, methods)
    _check(claim, "readings", claim.readings, registry.listed.readings)
    _check(claim, "models", claim.models, MODELS)
    _check(claim, "metrics", (*claim.metrics, *claim.beside, *claim.minimum.effects), MEASURES)
    _check(claim, "groups", claim.groups, GROUPS)
    _check(claim, "family", [claim.family], families)
    _check(claim, "published", claim.published, STATED)
    _check(claim, "data", claim.data, {*data, *datasets})
    _check(claim, "needs", claim.needs, data)
    for metric in claim.metrics:
        registry.minimum(claim, metric)


def _check(claim: Claim | None, key: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = set(known)
    for name in names:
        if name not in known:
            mend = did_you_mean(name, known)
            raise ConfigError(_where(claim, key), f"there is no '{name}'", mend)


def _where(claim: Claim | None, key: str) -> str:
    of = f"claim '{claim.id}', " if claim else ""
    return f"{FILE.as_posix()}, {of}key '{key}'"


def claims_of(study: Study, registry: Registry) -> list[Claim]:
    """The claims that a study judges: its user's own, and of AutoLoss where it is about AutoLoss.

    What the paper and its reviewers say is of AutoLoss, whatever their claim compares.
    """
    about_it = OWN in study.kin
    return [c for c in registry.listed.claims if about_it or c.origin == OWN_CLAIM]


def unmet(study: Study, claim: Claim, standing: Mapping[str, str]) -> str:
    """What is only stood for, of what a claim needs itself: nothing, if that is there.

    `standing` are data sets, each with the paper's that it stands for.
    """
    own = {paper for name, paper in standing.items() if study.dataset(name).is_the_papers}
    if own.issuperset(claim.needs):
        return ""
    others = [f"{name} for {paper}" for name, paper in standing.items() if paper in claim.needs]
    return f"it needs {' and '.join(claim.needs)}; here stand {' and '.join(others)}"


def require_claims(study: Study) -> None:
    """Refuse to judge nothing.

    Raises:
        ConfigError: the study is about another method than AutoLoss, and there is no claim on it.
    """
    if not claims_of(study, load_claims(study.root)):
        ours = study.label(study.subject)
        problem = f"has no claim for a study about {ours}: all are of AutoLoss"
        mend = "add one with `origin: own` (docs/extending.md)"
        raise ConfigError(FILE.as_posix(), problem, mend)


def claimed_groups(study: Study) -> list[str]:
    """The groups that the claims are judged on, those in which the study runs our method.

    Of a tuned study Table 2's: the paper's own comparison, and what can be tuned in hours.
    """
    claims = claims_of(study, load_claims(study.root))
    named = {group for claim in claims for group in claim.groups}
    if study.config.protocol == "tuned":
        named = {"table_2"}
    return [group for group in GROUPS if group in named and study.has(group)]
