"""What a study asks for and cannot have, known when it is planned: before anything is trained.

What the user has named is refused; a method that merely was found is left out, with a note. Imports
neither torch nor pandas.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import isclose
from typing import TYPE_CHECKING

from autoloss.data.registry import dataset_names, load_source
from autoloss.errors import ConfigError, did_you_mean
from autoloss.grid import Cell
from autoloss.names import two_alike
from autoloss.registry import DIFFERENCES, FIGURES, MODELS, OWN, TABLES, losses, options_of
from autoloss.variants import frequency_variants

if TYPE_CHECKING:
    from autoloss.study import Study


def check_study(study: Study) -> None:
    """What needs no data set's file: names, options, and whether the methods named fit.

    Raises:
        ConfigError: the configuration names what is not there, or what cannot be done.
    """
    options, config = study.config.study, study.config
    scales = {file.stem for file in (study.root / "configs" / "scale").glob("*.yaml")}
    if options.name in scales - {config.scale}:
        problem = f"is '{options.name}', another scale's name: results would stand among its own"
        raise ConfigError("study.name", problem, "choose another")
    known = dataset_names(study.root)
    pairs = (options.source, *options.targets)
    for name in study.named_datasets():
        if name not in known:
            raise ConfigError("study", f"no data set '{name}'", did_you_mean(name, known))
    for name in (*options.models, *options.control_models, *(p.model for p in pairs)):
        if name not in MODELS:
            raise ConfigError("study.models", f"no model '{name}'", did_you_mean(name, MODELS))
    for name in config.losses.candidates:
        if name not in losses():
            mend = did_you_mean(name, losses())
            raise ConfigError("losses.candidates", f"no loss is called '{name}'", mend)
    for name in (*(options.methods or ()), *config.methods):
        if name not in study.methods:
            hint = did_you_mean(name, study.methods)
            raise ConfigError("methods", f"no method '{name}'", hint)
    for name, entry in study.methods.items():
        given = options_of(entry.info, config.methods.get(name, {}), study.methods)
        _check_weights(study, name, given)
        _check_criterion(name, given)
    if options.methods is not None and OWN not in options.methods:
        problem = f"lacks '{OWN}', which all others are compared with"
        raise ConfigError("study.methods", problem, f"add {OWN} to it")
    for name in options.methods or ():
        for where, problem, mend in _lacks(study, name):
            raise ConfigError(where, f"{problem}: study.methods names '{name}'", mend)


def check_descriptions(study: Study) -> None:
    """What the files of data sets, sources and readings say, so far as the study names them.

    Raises:
        ConfigError: one is incomplete or misspelt, two would look alike in a table, or a target of
            the frozen controller has another task than its source.
    """
    titles = {name: study.dataset(name).title for name in study.named_datasets()}
    for name in titles:
        load_source(study.dataset(name).source, study.root)
    for method in study.variants:
        study.run_config(Cell("", "", method))
    alike = two_alike(titles)
    if alike:
        problem = f"{' and '.join(alike)} have one title, '{titles[alike[0]]}'"
        mend = f"change `title` in configs/datasets/{alike[1]}.yaml: tables show data sets by it"
        raise ConfigError("study.datasets", problem, mend)
    beside = frequency_variants(study.config.study.frequencies)  # readings stand in their own table
    alike = two_alike({name: study.label(name) for name in (*study.methods, *beside)})
    if alike:
        problem = f"{' and '.join(alike)} have one label, '{study.label(alike[0])}'"
        mend = "change one's `label`: tables show methods and variants by it"
        raise ConfigError(str(study.entry(alike[0]).file), problem, mend)
    _check_targets(study)


def left_out(study: Study) -> dict[str, str]:
    """Methods that were found and do not fit the study, each with the reason."""
    if study.config.study.methods is not None:
        return {}
    lacking = {name: next(_lacks(study, name), None) for name in study.methods}
    return {
        name: f"{lack[0]} {lack[1]}; to have it, {lack[2]}"
        for name, lack in lacking.items()
        if lack
    }


def undrawn(study: Study) -> list[str]:
    """The figures that show paired gains where the study can have none."""
    one = study.config.study.seeds < 2
    return [
        figure
        for figure, base in DIFFERENCES.items()
        if one
        or base not in {cell.method for group in FIGURES[figure] for cell in study.cells(group)}
    ]


def notes(study: Study) -> list[str]:
    """What the study does without, in sentences."""
    alone = [group for group in TABLES if not study.compares(group)]
    return [
        *(f"{study.label(name)} is left out: {why}." for name, why in study.left_out.items()),
        *(f"{group} has no method beside {OWN}: nothing is compared there." for group in alone),
        *(
            f"Figure {figure} is left out: it needs {DIFFERENCES[figure]} and two seeds."
            for figure in undrawn(study)
        ),
    ]


def _lacks(study: Study, name: str) -> Iterator[tuple[str, str, str]]:
    """What a method needs that the study has not: where, what, and the mend."""
    entry, candidates = study.methods[name], study.config.losses.candidates
    missing = ", ".join(loss for loss in entry.needs if loss not in candidates)
    if missing:
        mend = f"add {missing} to losses.candidates" + _or_leave_out(study, name)
        yield "losses.candidates", f"lacks {missing}, which '{name}' weighs", mend
    needed, trials = entry.info.trials_per_candidate * len(candidates), study.config.tuning.trials
    if trials < needed:
        mend = f"set tuning.trials to {needed} or more" + _or_leave_out(study, name)
        problem = f"is {trials}, and '{name}' needs {needed} for {len(candidates)} candidates"
        yield "tuning.trials", problem, mend


def _or_leave_out(study: Study, name: str) -> str:
    named = study.config.study.methods is not None and name != OWN
    return f", or leave {name} out of study.methods" if named else ""


def _check_weights(study: Study, name: str, options: dict[str, object]) -> None:
    """Weights that a user gives to a method that would search them are one for each candidate."""
    weights, candidates = options.get("weights"), study.config.losses.candidates
    if not study.methods[name].info.searches or not isinstance(weights, (list, tuple)):
        return
    if weights and (len(weights) != len(candidates) or not isclose(sum(weights), 1)):
        mend = f"give {len(candidates)} weights that sum to 1: of {', '.join(candidates)}"
        raise ConfigError(f"methods.{name}.weights", f"is {list(weights)}", mend)


def _check_criterion(name: str, options: dict[str, object]) -> None:
    """A weighting that does not look ahead learns from the mixture, or from nothing."""
    still = options.get("hypergradient") == "direct" or options.get("xi_over_lr") == 0
    if still and options.get("criterion", "mixture") != "mixture":
        problem = f"'{options['criterion']}' with xi = 0 does not depend on the weighting"
        mend = "set hypergradient: exact and xi_over_lr: 1.0, or criterion: mixture"
        raise ConfigError(f"methods.{name}.criterion", problem, mend)


def _check_targets(study: Study) -> None:
    """A controller reads labels and predictions of its source's task, and of no other."""
    options = study.config.study
    classes = study.dataset(options.source.dataset).task.classes
    for target in options.targets:
        other = study.dataset(target.dataset).task.classes
        if other != classes:
            raise ConfigError(
                "study.targets",
                f"{target} has {other} classes, and the controller of {options.source} {classes}",
                f"name data sets of {classes} classes, or a study.source of {other}",
            )
