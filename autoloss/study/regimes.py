"""Where loss search pays: the design of that study, as data (`configs/regimes.yaml`).

Points are data sets with something done to them, and the methods that are run there; changes are
methods with something changed; predictions say beforehand what will come out, each so that it can
fail. Imports neither torch nor pandas.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from autoloss.data.derived_specs import Derived, DerivedSpec, Flips, Region, require_rows
from autoloss.data.specs import dataset_names
from autoloss.errors import ConfigError, require_known
from autoloss.losses import LOSSES
from autoloss.models import MODELS
from autoloss.names import two_alike
from autoloss.strict import Number, Strict, load_yaml, mistake
from autoloss.study.cell import Cell
from autoloss.study.variants import Change, Word, load_sensitivity

AT, CLEAN = "_at_", "_clean"  # within the name of a point's data set
BASE = "ce"  # what gains are over
CLEAN_PART = "clean_part"  # in the place of a method: cross-entropy without what is flipped
Share = Annotated[Number, Field(gt=0, lt=1)]


class Noise(Strict):
    """A point's flipped labels: their share, of all rows or of the data set's region."""

    share: Share
    where: Literal["everywhere", "region"]
    parts: tuple[Literal["train", "validation"], ...] = Field(default=("train",), min_length=1)

    @property
    def label(self) -> str:
        """In words."""
        where = "of the region's labels" if self.where == "region" else "of the labels"
        of = "" if self.parts == ("train",) else f", in {' and '.join(self.parts)}"
        return f"{self.share:.0%} {where} flipped{of}"


class Point(Strict):
    """A place of the map: a data set, what is done to it, and who is run on it.

    `methods` are methods, changed ones (`<method>_under_<change>`), the names of `sets`, and
    `clean_part`.
    """

    name: Word
    data: str
    rows: int | None = Field(default=None, ge=10)
    positives: Share | None = None
    noise: Noise | None = None
    methods: tuple[Word, ...] = Field(min_length=1)

    @property
    def changed(self) -> bool:
        """Whether its data set is made of another."""
        return self.rows is not None or self.noise is not None

    @property
    def dataset(self) -> str:
        """The name of its data set."""
        return f"{self.data}{AT}{self.name}" if self.changed else self.data

    @property
    def label(self) -> str:
        """What is done, in words."""
        said = [f"{self.rows:,} rows"] if self.rows else []
        said += [f"{self.positives:.0%} positives"] if self.positives else []
        return ", ".join([*said, self.noise.label if self.noise else "no label flipped"])

    @model_validator(mode="after")
    def _rows_for_positives(self) -> Point:
        require_rows(self.rows, self.positives)
        return self


class Expectation(Strict):
    """What is to come out at each of some points: above a number, or below one.

    Of a method the gain over another in a metric (more is better), or the weight of a candidate in
    the last epoch; with `than`, how much larger it is than at that point.
    """

    of: Word
    over: Word | None = None
    candidate: str | None = None
    metric: Literal["auc", "logloss_calibrated"] = "auc"
    at: tuple[Word, ...] = Field(min_length=1)
    than: Word | None = None
    above: Number | None = None
    below: Number | None = None

    @model_validator(mode="after")
    def _can_fail(self) -> Expectation:
        if self.over is None and self.candidate is None:
            mend = "add over, a method (of its gain), or candidate, a loss (of its weight)"
            raise mistake("it does not say of what", mend)
        if self.over is not None and self.candidate is not None:
            problem = "over is of a gain, and candidate of a weight"
            raise mistake(problem, "leave one out, and write two expectations for both", "over")
        if self.candidate is not None and "metric" in self.model_fields_set:
            problem = "metric is of a gain; a candidate's weight has none"
            raise mistake(problem, "leave it out", "metric")
        if self.over == self.of or (self.than is not None and self.than in self.at):
            key = "over" if self.over == self.of else "than"
            raise mistake("is compared with itself", "name another", key)
        if self.above is None and self.below is None:
            problem = "without `above` or `below` it could not fail"
            raise mistake(problem, "add one, with a number")
        if self.above is not None and self.below is not None:
            problem = "of above and below one can be tested"
            raise mistake(problem, "leave one out, and write two expectations for both", "below")
        return self

    @property
    def bound(self) -> float:
        """What it is to be above, or below."""
        return self.above if self.above is not None else self.below or 0.0


class Prediction(Strict):
    """A sentence, why it should be so, and what has to come out: all of it."""

    name: Word
    statement: str = Field(pattern=r"\S")
    because: str = Field(pattern=r"\S")
    expect: tuple[Expectation, ...] = Field(min_length=1)


class Intervention(Change):
    """A change that the design makes of some methods."""

    set: dict[str, Any] = Field(min_length=1)


class Regimes(Strict):
    """The whole design.

    `regions` are of data sets: where their labels are flipped, if not everywhere.
    """

    model: str
    seed: int = Field(default=42, ge=0, description="of what is sampled and flipped")
    regions: dict[str, Region] = Field(default_factory=dict)
    sets: dict[Word, tuple[Word, ...]] = Field(default_factory=dict)
    changes: tuple[Intervention, ...] = ()
    points: tuple[Point, ...] = ()
    predictions: tuple[Prediction, ...] = ()

    @model_validator(mode="after")
    def _entries_are_distinct(self) -> Regimes:
        for what in ("changes", "points", "predictions"):
            names = [entry.name for entry in getattr(self, what)]
            for k, name in enumerate(names):
                if name in names[:k]:
                    problem = f"{what} has {name} twice"
                    raise mistake(problem, "give this one another name", f"{what}.{k}.name")
        done = [point.model_dump(exclude={"name", "methods"}) for point in self.points]
        for k, content in enumerate(done):
            if (first := done.index(content)) < k:
                problem = f"does what {self.points[first].name} does: gains would be tested twice"
                raise mistake(problem, "name its methods there, too", f"points.{k}.name")
        labels = {change.name: change.label for change in self.changes}
        if alike := two_alike(labels):
            k = [*labels].index(alike[1])
            problem = f"the changes {' and '.join(alike)} have one label"
            raise mistake(problem, "give this one another label", f"changes.{k}.label")
        return self

    def run_at(self, point: Point) -> list[str]:
        """The methods of a point, each once, its sets unfolded."""
        every = (name for named in point.methods for name in self.sets.get(named, (named,)))
        return list(dict.fromkeys(every))

    def named(self) -> list[str]:
        """All methods that are run anywhere."""
        return list(dict.fromkeys(name for point in self.points for name in self.run_at(point)))

    @property
    def changed(self) -> list[str]:
        """The methods that its changes make."""
        return [name for change in self.changes for name in change.variants()]

    def cell_of(self, point: Point, method: str) -> Cell:
        """The cell of a method at a point."""
        if method == CLEAN_PART:
            return Cell(point.dataset + CLEAN, self.model, BASE)
        return Cell(point.dataset, self.model, method)

    def cells(self) -> list[Cell]:
        """All cells, each once, in the order of the points."""
        points = self.points
        return list(dict.fromkeys(self.cell_of(p, m) for p in points for m in self.run_at(p)))

    def point(self, name: str) -> Point:
        """The point of a name."""
        return next(point for point in self.points if point.name == name)

    @cached_property
    def datasets(self) -> dict[str, DerivedSpec]:
        """The data sets that are made of others, by name."""
        return {spec.name: spec for point in self.points for spec in self.made(point)}

    def made(self, point: Point) -> Iterator[DerivedSpec]:
        """The data sets that are made for a point: with its flips, and the clean part."""
        if not point.changed:
            return
        noise, flips = point.noise, None
        if noise:
            region = self.regions[point.data] if noise.where == "region" else None
            flips = Flips(share=noise.share, region=region, parts=noise.parts)
        how = Derived(
            base=point.data,
            rows=point.rows,
            positives=point.positives,
            flips=flips,
            seed=self.seed,
        )
        title = f"{point.data}, {point.label}"
        yield DerivedSpec(**dict(how), name=point.dataset, title=title)
        if flips and CLEAN_PART in self.run_at(point):
            clean = how.model_copy(update={"flips": flips.model_copy(update={"dropped": True})})
            title += ", these left out"
            yield DerivedSpec(**dict(clean), name=point.dataset + CLEAN, title=title)


def load_regimes(root: Path, methods: Collection[str]) -> Regimes:
    """The design of the project at `root`, whose methods are these; an empty one without the file.

    Raises:
        ConfigError: the file is wrong, or names what is not there.
    """
    file = root / "configs" / "regimes.yaml"
    if not file.exists():
        return Regimes(model=next(iter(MODELS)))
    regimes = load_yaml(file, Regimes)
    require_known([regimes.model], MODELS, "model", f"{file}, key 'model'")
    readings = load_sensitivity(root, methods).readings
    variants = [name for reading in readings for name in reading.variants()]
    made = regimes.changed
    known = {*methods, *made, CLEAN_PART}
    for change in regimes.changes:
        require_known(change.methods, methods, "method", f"{file}, changes.{change.name}.methods")
    if clash := sorted({*made} & {*variants}):
        mend = "give the change another name: configs/sensitivity.yaml has one of this"
        raise ConfigError(f"{file}, key 'changes'", f"makes {clash[0]}, which is there", mend)
    if clash := sorted({*regimes.sets} & known):
        mend = "give the set another name"
        raise ConfigError(f"{file}, key 'sets'", f"has {clash[0]}, which is a method", mend)
    for name, members in regimes.sets.items():
        require_known(members, known, "method", f"{file}, key 'sets.{name}'")
    for point in regimes.points:
        _check_methods(regimes, point, known, f"{file}, points.{point.name}.methods")
    _check_datasets(regimes, dataset_names(root), file)
    for prediction in regimes.predictions:
        for expected in prediction.expect:
            _check_expected(regimes, expected, known, f"{file}, predictions.{prediction.name}")
    return regimes


def _check_methods(regimes: Regimes, point: Point, known: Collection[str], where: str) -> None:
    """What a point runs is there: cross-entropy, too, and its clean part only where it has one."""
    require_known(point.methods, [*known, *regimes.sets], "method or set", where)
    run = regimes.run_at(point)
    if BASE not in run:
        raise ConfigError(where, f"lacks {BASE}, over which all gains are", f"add {BASE}")
    if CLEAN_PART in run and not point.noise:
        mend = f"take {CLEAN_PART} out, or the set that has it; or give the point `noise`"
        raise ConfigError(where, f"has {CLEAN_PART}, and the point flips no label", mend)


def _check_datasets(regimes: Regimes, described: Collection[str], file: Path) -> None:
    """Points are of data sets that there are, and make data sets that there are not, each its own.

    Raises:
        ConfigError: one is of an unknown one, or would take the place of another's.
    """
    taken = dict.fromkeys(described, "which is described by itself")
    for point in regimes.points:
        where = f"{file}, points.{point.name}"
        require_known([point.data], described, "data set", f"{where}.data")
        if point.noise and point.noise.where == "region" and point.data not in regimes.regions:
            mend = f"add `{point.data}: {{field: ..., ids: [...]}}`, or write where: everywhere"
            problem = f"has none of {point.data}, which the point {point.name} needs"
            raise ConfigError(f"{file}, regions", problem, mend)
        for made in regimes.made(point):
            if made.name in taken:
                problem = f"makes the data set {made.name}, {taken[made.name]}"
                raise ConfigError(f"{where}.name", problem, "give the point another name")
            taken[made.name] = f"which the point {point.name} makes, too"


def _check_expected(
    regimes: Regimes, expected: Expectation, methods: Collection[str], where: str
) -> None:
    """What is expected can be looked up: its points are there, and its methods are run there."""
    places = [*(("at", name) for name in expected.at)]
    places += [("than", expected.than)] if expected.than else []
    for key, name in places:
        require_known([name], [p.name for p in regimes.points], "point", f"{where}, key '{key}'")
    if expected.candidate is not None:
        require_known([expected.candidate], LOSSES, "loss", f"{where}, key 'candidate'")
    named = [(key, name) for key in ("of", "over") if (name := getattr(expected, key)) is not None]
    for key, method in named:
        require_known([method], methods, "method", f"{where}, key '{key}'")
    for _, name in places:
        run = regimes.run_at(regimes.point(name))
        for key, method in named:
            if method not in run:
                problem = f"is of {method}, which is not run at {name}"
                mend = f"add it to the methods of {name}, or name another point"
                raise ConfigError(f"{where}, key '{key}'", problem, mend)
