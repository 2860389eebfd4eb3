"""A method's options as a study has them: each with its value, where that is from, what it does.

Imports neither torch nor pandas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from autoloss.domains import shown
from autoloss.folder import entries
from autoloss.methods.options import UNTUNED, idle_of, lineage, untuned_of
from autoloss.study.study import Study

Layers = Mapping[str, Mapping[str, Any]]  # keys by the file that sets them, the lowest first
PARTS = ("method", "losses", "training")  # of a method's settings


def resolved(study: Study, method: str, layers: Layers) -> list[dict[str, str]]:
    """A row per option: its name, value and source, the range that the tuned protocol searches or
    why this method has none, and whether it has an effect.

    Args:
        method: a method of the study, or a variant.
        layers: what the study's configuration was merged from.
    """
    settings, idle = study.settings(method), _idle(study, method)
    space = study.under("tuned").search_space(method)
    reasons = untuned_of(study.entry(method).info, study.methods)
    untuned = {key: why for key, why in reasons.items() if UNTUNED.get(key) != why}
    return [
        {
            "option": f"{part}.{key}",
            "value": plain(value),
            "from": next(_sources(study, method, part, key, layers)),
            "range if tuned": shown(space[name]) if name in space else untuned.get(key, ""),
            "effect": f"none: {idle[name]}" if name in idle else "",
        }
        for part in PARTS
        for key, value in settings[part].items()
        if (name := f"{part}.{key}")
    ]


def plain(value: object) -> str:
    """A value as a page shows it."""
    if isinstance(value, (tuple, list)):
        return "-".join(map(plain, value)) or "(none)"
    return f"{value:g}" if isinstance(value, float) else str(value) or "(none)"


def _idle(study: Study, method: str) -> dict[str, str]:
    """Settings that change nothing of a method's runs, each with the reason."""
    entry, settings = study.entry(method), study.settings(method)
    idle = {f"method.{k}": why for k, why in idle_of(entry.info, settings["method"]).items()}
    weighed = entry.needs or study.config.losses.candidates
    for name, loss in entries("losses").items():
        if name not in weighed:
            why = f"{loss.label} is not weighed"
            idle |= dict.fromkeys((f"losses.{key}" for key in loss.options), why)
    return idle


def _sources(study: Study, method: str, part: str, key: str, layers: Layers) -> Iterator[str]:
    """The places that set an option, the one that counts first."""
    over, base = study.variant(method).over, study.base(method)
    line = [study.methods[name].info for name in lineage(base, study.methods)]
    if part == "losses":
        yield from (f"{info.name} itself" for info in line if key in info.losses)
    if key in _under(over, *(("methods", base) if part == "method" else (part,))):
        yield f"the variant {method}"
    if part == "method":
        for info in line:
            yield from _files(f"methods.{info.name}", key, layers)
            if key in info.options:
                yield f"default of {info.name}"
    else:
        yield from _files(part, key, layers)
        yield "default"


def _files(path: str, key: str, layers: Layers) -> Iterator[str]:
    """The files that set a key under a dotted path, the highest first."""
    for file, keys in reversed([*layers.items()]):
        if key in _under(keys, *path.split(".")):
            yield f"{path} in {file}"


def _under(keys: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """What nested keys have under a path."""
    for step in path:
        keys = keys.get(step) or {}
    return keys
