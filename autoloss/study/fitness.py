"""What a study asks for and cannot have, known when it is planned: before anything is trained.

What the user has named is refused; a method that is merely there is left out, with a note. Imports
neither torch nor pandas.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from autoloss.config import Config
from autoloss.data.specs import dataset_names
from autoloss.errors import ClashError, ConfigError, require_known
from autoloss.losses import LOSSES
from autoloss.methods.info import Entry
from autoloss.methods.options import options_of, require_weights
from autoloss.models import MODELS
from autoloss.names import at_frequency


def check_config(config: Config, root: Path, methods: Mapping[str, Entry]) -> None:
    """What needs no data set's file: names, options, and whether the methods named fit.

    Raises:
        ConfigError: the configuration names what is not there, or what cannot be done.
    """
    options = config.study
    scales = {file.stem for file in (root / "configs" / "scale").glob("*.yaml")}
    if options.name in scales - {config.scale}:
        problem = f"is '{options.name}', another scale's name: results would stand among its own"
        raise ConfigError("study.name", problem, "choose another")
    if (options.name or "").endswith("-tuned"):
        problem = f"is '{options.name}': the results of a tuned study stand under such a name"
        raise ConfigError("study.name", problem, "choose another")
    if options.seeds > options.splits and options.seeds % options.splits:
        problem = f"is {options.seeds}: some of {options.splits} splits have more seeds than others"
        mend = "give a multiple of study.splits, or no more seeds than splits"
        raise ConfigError("study.seeds", problem, mend)
    first, last = options.first_seed, options.first_seed + options.seeds - 1
    if first <= config.tuning.seed <= last:
        problem = f"is {config.tuning.seed}, also the seed of a run: those are {first} to {last}"
        raise ConfigError("tuning.seed", problem, "choose a seed that no run has")
    stack, together = config.training.stack, options.seeds_per_job
    if stack != "auto" and together % stack:
        problem = f"is {stack}: places would idle, as a job has {together} seeds"
        raise ConfigError("training.stack", problem, "give study.seeds_per_job a multiple of it")
    _check_names(config, root, methods)
    bases_first = sorted(methods.items(), key=lambda item: item[1].info.base is not None)
    for name, entry in bases_first:
        try:
            resolved = options_of(entry.info, config.methods.get(name, {}), methods)
        except ClashError:
            if options.methods is None and entry.info.base:
                continue  # it is left out
            raise
        for key in ("weights", "inside"):  # of methods that search them, or have both
            weights, own = resolved.get(key), entry.info.searches or "inside" in resolved
            if own and isinstance(weights, (list, tuple)):
                require_weights(entry.info, weights, config.losses.candidates, key)
    for name in options.methods or ():
        if lack := lacking(config, methods[name], methods):
            raise lack
    _check_ours(config, methods)


def _check_names(config: Config, root: Path, methods: Mapping[str, Entry]) -> None:
    """What keys name is there.

    Raises:
        ConfigError: at the key that names what is not.
    """
    options = config.study
    pairs = {"study.source": (options.source,), "study.targets": options.targets}
    named: list[tuple[str, str, Iterable[str]]] = [
        ("data set", "study.datasets", options.datasets),
        ("data set", "study.component_datasets", options.component_datasets),
        *(("data set", key, [pair.dataset for pair in two]) for key, two in pairs.items()),
        ("model", "study.models", options.models),
        ("model", "study.control_models", options.control_models),
        *(("model", key, [pair.model for pair in two]) for key, two in pairs.items()),
        ("loss", "losses.candidates", config.losses.candidates),
        ("method", "study.methods", options.methods or ()),
        ("method", "methods", config.methods),
    ]
    known = {"data set": dataset_names(root), "model": MODELS, "loss": LOSSES, "method": methods}
    for kind, where, names in named:
        require_known(names, known[kind], kind, where)


def _check_ours(config: Config, methods: Mapping[str, Entry]) -> None:
    """The methods that the claim is about are there, and the study can have one of them.

    Raises:
        ConfigError: it cannot, or one is frozen: such a method stands in no table.
    """
    where, ours, chosen = "statistics.ours", config.statistics.ours, config.study.methods
    require_known(ours, methods, "method", where)
    for name in ours:
        if source := methods[name].info.frozen:
            problem = f"names '{name}', which stands in Figure 3 and in no table"
            raise ConfigError(where, problem, f"name '{source}', whose controller it takes")
    taken = [name for name in ours if chosen is None or name in chosen]
    if not taken:
        problem = f"names {', '.join(ours)}: study.methods has none of them"
        mend = f"add {ours[0]} to study.methods, or name methods of it here"
        raise ConfigError(where, problem, mend)
    for name in taken:
        if clash := {at_frequency(name, k) for k in config.study.frequencies} & {*methods}:
            problem = f"names '{name}', whose variant in Figure 4 has the name of a method"
            raise ConfigError(where, problem, f"rename the method {min(clash)}")
    lacks = [lacking(config, methods[name], methods) for name in taken]
    if lacks[0] and all(lacks):
        raise lacks[0]


def lacking(config: Config, entry: Entry, methods: Mapping[str, Entry]) -> ConfigError | None:
    """What a method needs that the study has not, as the error that it is where it is named."""
    name, candidates = entry.info.name, config.losses.candidates
    named = config.study.methods is not None
    instead = f", or leave {name} out of study.methods" if named else ""
    source = entry.info.frozen
    if named and source not in (None, *(config.study.methods or ())):
        problem = f"lacks '{source}', whose trained controllers '{name}' takes"
        return ConfigError("study.methods", problem, f"add {source}{instead}")
    missing = ", ".join(loss for loss in entry.needs if loss not in candidates)
    if missing:
        mend = f"add {missing} to losses.candidates{instead}"
        return ConfigError("losses.candidates", f"lacks {missing}, which '{name}' weighs", mend)
    needed, trials = entry.info.trials_per_candidate * len(candidates), config.tuning.trials
    needed += needed > 1  # equal weights; those of one candidate are that one alone
    if trials < needed:
        problem = f"is {trials}, and '{name}' needs {needed} for {len(candidates)} candidates"
        mend = f"set tuning.trials to {needed} or more{instead}"
        return ConfigError("tuning.trials", problem, mend)
    try:
        options_of(entry.info, config.methods.get(name, {}), methods)
    except ClashError as clash:
        return clash
    return None
