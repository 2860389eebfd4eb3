"""A method's options, its losses', and what is tuned: inherited, its own, a configuration's."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from autoloss.domains import MEND, Domain, domain_at, require_domain
from autoloss.errors import ClashError, ConfigError, MethodError, did_you_mean
from autoloss.folder import entries
from autoloss.methods.info import Entry, Info

# Options of these names have a range, whichever method has them.
POSITIVE = ("every", "lr", "hidden", "temperature", "tau_start", "tau_floor")
SHARES = ("dropout", "betas")
# Options that say which method it is, or how it is estimated: no search may choose them.
READINGS = (
    *("updates", "look_ahead", "hypergradient", "criterion"),
    *("detach", "straight_through", "tau_unit"),
)
# Options that no method searches in the tuned protocol, and why.
UNTUNED = {
    **dict.fromkeys(READINGS, "a reading of the paper or an estimator, no hyper-parameter"),
    **dict.fromkeys(("hidden", "dropout"), "the weighting's architecture, as published"),
    **dict.fromkeys(("tau_start", "tau_floor"), "the schedule's ends; its slope is searched"),
    "betas": "Adam's, as published; its rate is searched",
    "weights": "what the method's own search finds",
    "controller": "the file of a trained controller",
}
LEARNING = ("every", "lr", "weight_decay", "xi_over_lr")  # tuned where the weighting learns


def lineage(name: str, methods: Mapping[str, Entry]) -> list[str]:
    """A method, the one it is based on, and so on."""
    base = methods[name].info.base
    return [name, *(lineage(base, methods) if base else [])]


def inherited(
    overrides: Mapping[str, Mapping[str, Any]],
    methods: Mapping[str, Entry],
    chosen: Collection[str] | None = None,
) -> dict[str, dict[str, Any]]:
    """A configuration's `overrides` by method, a base's handed on to what is based on it.

    A method's own options (`Info.options`), and what `overrides` says of it, come before its
    base's. Methods that are not `chosen`, and take no chosen one's controller, inherit nothing.
    """

    def of(name: str) -> dict[str, Any]:
        info, own = methods[name].info, dict(overrides.get(name, {}))
        if info.base is None:
            return own
        return {k: v for k, v in of(info.base).items() if k not in info.options} | own

    heirs = {
        name: of(name)
        for name, entry in methods.items()
        if chosen is None or {name, entry.info.frozen} & {*chosen}
    }
    kept = {name: dict(own) for name, own in overrides.items()}
    return kept | {name: options for name, options in heirs.items() if options}


def options_of(
    info: Info, overrides: Mapping[str, Any], methods: Mapping[str, Entry]
) -> dict[str, Any]:
    """The options a method runs with: inherited, then its own, then `overrides`, each checked.

    Raises:
        ConfigError: an override is unknown, of another type than the default, or no choice.
        ClashError: a weighting that does not look ahead (xi = 0) would learn from what it does not
            change.
    """
    base = methods[info.base].info if info.base else None
    options = {**(options_of(base, {}, methods) if base else {}), **info.options}
    choices = {**(base.choices if base else {}), **info.choices}
    for key, value in overrides.items():
        where = f"methods.{info.name}.{key}"
        if key not in options:
            raise ConfigError(where, "unknown option", did_you_mean(key, options or ["(none)"]))
        _check_option(where, value, options[key], choices.get(key))
        options[key] = value
    criterion = options.get("criterion", "mixture")
    if criterion != "mixture" and not _looks_ahead(options):
        problem = f"'{criterion}' with xi = 0 does not depend on the weighting"
        mend = "set hypergradient: exact and xi_over_lr: 1.0, or criterion: mixture"
        if info.base:
            mend += f", of {info.name}: what methods.{info.base} says holds for it too"
        raise ClashError(f"methods.{info.name}.criterion", problem, mend)
    return options


def loss_options_of(info: Info, methods: Mapping[str, Entry]) -> dict[str, Any]:
    """Options of the losses that a method sets: inherited, then its own."""
    base = methods[info.base].info if info.base else None
    return {**(loss_options_of(base, methods) if base else {}), **info.losses}


def check_losses(entry: Entry) -> None:
    """The losses have the options that a method sets, and these can have its values.

    Raises:
        MethodError: one cannot; or it sets the candidates, which are the same for every method.
    """
    where = f"{entry.file}, Info(losses)"
    if "candidates" in entry.info.losses:
        mend = "leave them out: they are the study's, and the same for every method"
        raise MethodError(where, "sets the candidates", mend)
    declared = {
        k: option for loss in entries("losses").values() for k, option in loss.options.items()
    }
    for key, value in entry.info.losses.items():
        if key not in declared:
            raise MethodError(where, f"unknown option '{key}'", did_you_mean(key, declared))
        if problem := declared[key].problem_of(value):
            mend = "give a value that the option can have in a configuration"
            raise MethodError(where, f"{key} is {value!r}: {problem}", mend)


def require_weights(
    info: Info, weights: Sequence[float], candidates: Sequence[str], key: str = "weights"
) -> None:
    """Refuse constant weights, an option of this name, that a method cannot have; none it can.

    Raises:
        ConfigError: they are not one for each candidate, one is below 0, or they do not sum to 1.
    """
    if weights and (
        len(weights) != len(candidates) or min(weights) < 0 or not math.isclose(sum(weights), 1)
    ):
        mend = f"give {len(candidates)} weights, none below 0, that sum to 1: of "
        mend += ", ".join(candidates)
        raise ConfigError(f"methods.{info.name}.{key}", f"is {list(weights)}", mend)


def _looks_ahead(options: Mapping[str, Any]) -> bool:
    return options.get("hypergradient") != "direct" and options.get("xi_over_lr") != 0


def idle_of(info: Info, options: Mapping[str, Any]) -> dict[str, str]:
    """Options that change nothing of a method's runs under `options`, each with the reason."""
    idle = {}
    if info.searches:
        idle["weights"] = "the method's search finds them"
    if info.frozen:
        idle["controller"] = f"each run takes that of its run of {info.frozen}"
        step = ("criterion", "betas", "dropout", "hypergradient", "updates", "look_ahead")
        idle |= dict.fromkeys((*LEARNING, *step), "the controller is held still")
    elif options.get("hypergradient") == "direct":
        ahead = ("xi_over_lr", "look_ahead")
        idle |= dict.fromkeys(ahead, "with hypergradient: direct there is no look-ahead")
    elif options.get("xi_over_lr") == 0:
        ahead = ("hypergradient", "look_ahead")
        idle |= dict.fromkeys(ahead, "with xi_over_lr: 0 there is no look-ahead")
    return {key: why for key, why in idle.items() if key in options}


def tuning_of(
    info: Info, methods: Mapping[str, Entry], options: Mapping[str, Any] | None = None
) -> dict[str, Domain]:
    """What the tuned protocol searches of a method's options, inherited ones first: key -> domain.

    That is what it or its base has in `tune`, without what cannot change anything under `options`
    (the defaults, if left out): how a frozen controller learns, what a look-ahead that is not taken
    is like.
    """
    options = options_of(info, {}, methods) if options is None else options
    dead = {*(LEARNING if info.frozen else ()), *(() if _looks_ahead(options) else ("xi_over_lr",))}
    domains = {
        key: domain_at(domain, options[key])
        for key, domain in _declared(info, methods).items()
        if key not in dead
    }
    return {key: domain for key, domain in domains.items() if domain is not None}


def _declared(info: Info, methods: Mapping[str, Entry]) -> dict[str, Domain]:
    base = methods[info.base].info if info.base else None
    declared = {**(_declared(base, methods) if base else {}), **info.tune}
    out = _taken_out(info)
    return {key: domain for key, domain in declared.items() if key not in out}


def _taken_out(info: Info) -> dict[str, str]:
    """What a method takes out of its base's space, each with the reason: its own options too."""
    own = info.options if info.base else {}
    apart = f"what sets it apart from {info.base}"
    return {**{key: apart for key in own if key not in info.tune}, **info.untuned}


def untuned_of(info: Info, methods: Mapping[str, Entry]) -> dict[str, str]:
    """Why the tuned protocol does not search an option: nobody's, inherited, the method's own."""
    base = methods[info.base].info if info.base else None
    return {**(untuned_of(base, methods) if base else UNTUNED), **_taken_out(info)}


def loss_tuning_of(
    entry: Entry, candidates: Sequence[str], methods: Mapping[str, Entry]
) -> dict[str, Domain]:
    """The constants that it searches of the losses that a method weighs: key -> domain.

    Those are the losses that it needs, where these are known, and all candidates otherwise; but not
    the constants that it sets.
    """
    weighed, losses = entry.needs or candidates, entries("losses")
    own = loss_options_of(entry.info, methods)
    return {
        key: option.tune
        for name in weighed
        if name in losses  # a test's own is in no file
        for key, option in losses[name].options.items()
        if option.tune and key not in own
    }


def check_tuning(entry: Entry, methods: Mapping[str, Entry]) -> None:
    """Each option that is tuned, or is said not to be, exists; and domains have a known form.

    Raises:
        MethodError: one does not, or has not; or one is tuned that no search may choose.
    """
    info, options = entry.info, options_of(entry.info, {}, methods)
    for part in ("tune", "untuned"):
        for key in getattr(info, part):
            if key not in options:
                mend = did_you_mean(key, options or ["(none)"])
                raise MethodError(f"{entry.file}, {part}['{key}']", "no such option", mend)
    for key, domain in info.tune.items():
        if key in READINGS:
            mend = (
                f"take it out of `tune`; a method with another {key} is one with base='{info.name}'"
            )
            raise MethodError(f"{entry.file}, tune['{key}']", UNTUNED[key], mend)
        try:
            require_domain(domain, options[key])
        except ValueError:
            where = f"{entry.file}, tune['{key}']"
            raise MethodError(where, f"is {domain!r}", MEND) from None


def _check_option(where: str, value: Any, default: Any, choices: tuple[Any, ...] | None) -> None:
    if choices is not None:
        if value not in choices:
            raise ConfigError(where, f"is {value!r}", did_you_mean(str(value), map(str, choices)))
        return
    if isinstance(default, (list, tuple)) and isinstance(value, (list, tuple)):
        for item in value:
            _check_option(where, item, default[0] if default else 0.0, None)
        return
    kinds = (int, float) if isinstance(default, float) else (type(default),)
    if not isinstance(value, kinds) or isinstance(value, bool) != isinstance(default, bool):
        raise ConfigError(
            where,
            f"is {value!r}, a {type(value).__name__}",
            f"give a {type(default).__name__}, as in the default {default!r}",
        )
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        _check_range(where, value, default)


def _check_range(where: str, value: float, default: float) -> None:
    """Finite, not below 0 unless the default is, and in the range that its name has."""
    key = where.rpartition(".")[2]
    if not math.isfinite(value) or (value < 0 <= default):
        raise ConfigError(where, f"is {value!r}", "give a finite number, 0 or more")
    if key in POSITIVE and value <= 0:
        raise ConfigError(where, f"is {value!r}", "give a number above 0")
    if key in SHARES and value >= 1:
        raise ConfigError(where, f"is {value!r}", "give a number below 1")
