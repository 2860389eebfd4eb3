"""The methods of a study and their variants: which it takes, and with which options each runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

from autoloss.config import Config, overlay
from autoloss.domains import Domain, domain_at
from autoloss.errors import ClashError, ConfigError
from autoloss.methods.discover import discover
from autoloss.methods.info import Entry
from autoloss.methods.options import (
    idle_of,
    lineage,
    loss_options_of,
    loss_tuning_of,
    options_of,
    tuning_of,
)
from autoloss.study.fitness import check_config, lacking
from autoloss.study.layout import Layout
from autoloss.study.regimes import Regimes, load_regimes
from autoloss.study.variants import (
    Reading,
    Sensitivity,
    Variant,
    frequency_variants,
    load_sensitivity,
)

# Of `training`. How many runs train at once is part of an identity: see `identity.run_config`.
PLACEMENT = {"device", "jobs_per_gpu", "stack", "threads", "checkpoint_seconds"}


@dataclass(frozen=True)
class Selection(Layout):
    """The methods that a configuration takes, of those that there are.

    Raises:
        ConfigError: on construction, if it names a data set, method or option that is not there.
    """

    planned: Self | None = None
    """The study that was planned, where `config` is that of one of its methods' runs."""

    def __post_init__(self) -> None:
        check_config(self.config, self.root, self.methods)

    @cached_property
    def methods(self) -> dict[str, Entry]:
        """Every method that there is, by name."""
        return self.planned.methods if self.planned else discover()

    @cached_property
    def left_out(self) -> dict[str, str]:
        """Methods that cannot do what the study asks, each with the reason."""
        if self.config.study.methods is not None:
            return {}
        lacks = {
            name: lacking(self.config, entry, self.methods) for name, entry in self.methods.items()
        }
        return {
            name: f"{lack.where} {lack.problem}; to have it, {lack.mend}"
            for name, lack in lacks.items()
            if lack
        }

    def takes(self, method: str) -> bool:
        """Whether a method is one of the study's: a frozen one goes with its source."""
        chosen, base = self.config.study.methods, self.base(method)
        asked = {method, base, self.methods[base].info.frozen}
        return not asked & {*self.left_out} and (chosen is None or bool(asked & {*chosen}))

    @cached_property
    def claimed(self) -> list[str]:
        """The methods that the claim is about: of `statistics.ours` those that the study has.

        Those of the study that was planned: a run of one of its methods changes none of this.
        """
        if self.planned:
            return self.planned.claimed
        ours, chosen = self.config.statistics.ours, self.config.study.methods
        if chosen is not None:
            return [name for name in ours if name in chosen]
        return [n for n in ours if not lacking(self.config, self.methods[n], self.methods)]

    @property
    def subject(self) -> str:
        """The method that the study is about, the first of those claimed: titles name it."""
        return self.claimed[0]

    @cached_property
    def kin(self) -> set[str]:
        """The methods claimed, with all that have a base in common with one of them."""
        roots = {name: lineage(name, self.methods)[-1] for name in self.methods}
        claimed = {roots[name] for name in self.claimed}
        return {name for name, root in roots.items() if root in claimed}

    @cached_property
    def sensitivity(self) -> Sensitivity:
        """The readings of the paper's open choices, but for those that clash with the study."""
        kept = tuple(r for r in self._readings.readings if r.label not in self.unread)
        return self._readings.model_copy(update={"readings": kept})

    @cached_property
    def unread(self) -> dict[str, str]:
        """By label, why a reading is left out: it clashes with the study, or is what it has."""
        if self.planned:
            return self.planned.unread
        readings = self._readings.readings
        return {r.label: why for r in readings if r.set and (why := self._why_not(r))}

    @cached_property
    def _readings(self) -> Sensitivity:
        """All that there are."""
        return load_sensitivity(self.root, self.methods)

    def _why_not(self, reading: Reading) -> str | None:
        """Why the study cannot have a reading.

        Raises:
            ConfigError: the reading changes some of its methods, but not all.
        """
        where = f"configs/sensitivity.yaml, reading {reading.name}"
        config, still = overlay(self.config, reading.set, where), []
        for method in reading.methods:
            try:
                alike = self._numbers_of(config, method) == self._numbers_of(self.config, method)
            except ClashError as clash:
                return clash.problem
            still += [method] * alike
            info = self.methods[method].info
            idle = idle_of(info, self._options_of(config, method))
            for key in reading.set.get("methods", {}).get(method, {}):
                if key in idle:
                    return f"{key} of {info.label} has no effect: {idle[key]}"
        if len(still) == len(reading.methods):
            return "it is what the study has anyway"
        if still:
            problem = f"changes nothing of {', '.join(still)}"
            raise ConfigError(where, problem, "name in `set` what it changes of each method")
        return None

    def _numbers_of(self, config: Config, method: str) -> tuple[Any, ...]:
        """What of a configuration a method's numbers depend on."""
        options = self._options_of(config, method)
        return config.model, config.losses, config.training, options

    def _options_of(self, config: Config, method: str) -> dict[str, Any]:
        """A method's options under a configuration."""
        own = config.methods.get(method, {})
        return options_of(self.methods[method].info, own, self.methods)

    @cached_property
    def variants(self) -> dict[str, Variant]:
        """Methods with something changed, by the name that their cells have."""
        if self.planned:
            return self.planned.variants
        variants = dict(self.at_frequencies)
        for change in (*self.sensitivity.readings, *self.regimes.changes):
            variants |= change.variants()
        return variants

    @cached_property
    def regimes(self) -> Regimes:
        """The design of the study of where loss search pays."""
        return self.planned.regimes if self.planned else load_regimes(self.root, self.methods)

    @cached_property
    def misfits(self) -> dict[str, str]:
        """The changed methods of the regimes that the study cannot have, each with the reason."""
        reasons = {}
        for name in self.regimes.changed:
            try:
                self.varied(name).settings(name)
            except ConfigError as error:
                reasons[name] = f"{error.where} {error.problem}"
        return reasons

    @cached_property
    def at_frequencies(self) -> dict[str, Variant]:
        """Our method with an outer step every so many steps; none if it has no such option."""
        options = options_of(self.methods[self.subject].info, {}, self.methods)
        frequencies = self.config.study.frequencies if "every" in options else ()
        return frequency_variants(self.subject, frequencies)

    def variant(self, method: str) -> Variant:
        """What a cell's name stands for: a method with something changed, or as it is."""
        return self.variants.get(method, Variant(method))

    def base(self, method: str) -> str:
        """The method that a cell's name stands for: a variant's base, or itself."""
        return self.variant(method).base

    def plain(self, method: str) -> str:
        """The name under which a method is run: `autoloss_every_7` is `autoloss` if 7 is usual."""
        base = self.base(method)
        alike = base != method and self.settings(method) == self.settings(base)
        return base if alike else method

    def entry(self, method: str) -> Entry:
        """The method behind a cell's name."""
        return self.methods[self.base(method)]

    def label(self, method: str) -> str:
        """What tables and figures call a cell's method."""
        changed = self.variant(method).label
        return self.entry(method).info.label + (f" ({changed})" if changed else "")

    def settings(self, method: str) -> dict[str, Any]:
        """The configuration that a method's runs can depend on, with a variant's options."""
        config, info = self._varied_config(method), self.entry(method).info
        return {
            "model": config.model.model_dump(mode="json"),
            "losses": config.losses.model_dump(mode="json"),
            "training": config.training.model_dump(mode="json", exclude=PLACEMENT),
            "method": options_of(info, config.methods.get(info.name, {}), self.methods),
        }

    def varied(self, method: str) -> Self:
        """The study as a method's runs have it, a variant's options and all: checked as any is."""
        if method not in self._varied:
            config = self._varied_config(method)
            self._varied[method] = self if config is self.config else self._with(config)
        return self._varied[method]

    @cached_property
    def _varied(self) -> dict[str, Self]:
        """By method, what `varied` has made: it is asked for each run."""
        return {}

    def as_planned(self) -> Self:
        """The study that was planned, where this is one of its methods' runs'."""
        return self.planned or self

    def _with(self, config: Config) -> Self:
        """The study as a run has it: its variants are still those of what was planned."""
        return replace(self, config=config, planned=self.planned or self)

    def _varied_config(self, method: str) -> Config:
        """With a variant's keys, then the method's own options of the losses, laid over it."""
        config, over = self.config, self.variant(method).over
        own = loss_options_of(self.entry(method).info, self.methods)
        config = overlay(config, over, f"variant {method}") if over else config
        return overlay(config, {"losses": own}, f"method {method}") if own else config

    def with_assignment(self, method: str, assignment: Mapping[str, Any], where: str) -> Self:
        """The method's study with `assignment` laid over it.

        Its keys are those of `settings`: "training.lr", "losses.focal_gamma", "method.every", ...
        Errors name `where` the assignment comes from.
        """
        training, losses, options = (
            {key.partition(".")[2]: v for key, v in assignment.items() if key.startswith(part)}
            for part in ("training.", "losses.", "method.")
        )
        over = {"training": training, "losses": losses, "methods": {self.base(method): options}}
        return self._with(overlay(self._varied_config(method), over, where))

    def search_space(self, method: str) -> dict[str, Domain]:
        """What the tuned protocol searches for a method: key -> domain; nothing in the other.

        A key of `settings` that a variant sets is that variant's, and is not searched.
        """
        if self.config.protocol != "tuned":
            return {}
        settings, over, entry = self.settings(method), self.variant(method).over, self.entry(method)
        constants = loss_tuning_of(entry, self.config.losses.candidates, self.methods)
        space: dict[str, Mapping[str, Domain | None]] = {
            "training": dict(self.config.tuning.shared),
            "method": tuning_of(entry.info, self.methods, settings["method"]),
            "losses": {k: domain_at(d, settings["losses"][k]) for k, d in constants.items()},
        }
        fixed = {**over, "method": over.get("methods", {}).get(self.base(method), {})}
        return {
            f"{part}.{key}": domain
            for part, domains in space.items()
            for key, domain in domains.items()
            if domain and key not in fixed.get(part, {})
        }

    def published(self, method: str) -> dict[str, Any]:
        """What the keys of a method's search have without it; weights are equal."""
        settings, names = self.settings(method), self.config.losses.candidates
        parts = (key.partition(".") for key in self.search_space(method))
        values = {f"{part}.{key}": settings[part][key] for part, _, key in parts}
        if self.entry(method).info.searches:
            values["method.weights"] = [1 / len(names)] * len(names)
        return values

    def epoch_budget(self, method: str) -> int:
        """Epochs that a run of a method may train."""
        return self.config.training.max_epochs * (2 if self.entry(method).info.refits else 1)
