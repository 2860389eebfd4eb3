"""A study as `snakemake` plans it: each file that it names is looked at, nothing is made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from autoloss.claims.planned import claim_notes
from autoloss.config import load_config, merged, overlay, read_given
from autoloss.data.fetch.local import require_columns, require_unchanged
from autoloss.data.specs import DatasetSpec, load_dataset, load_source
from autoloss.errors import ConfigError
from autoloss.folder import entries
from autoloss.methods.info import TABLES
from autoloss.methods.options import idle_of, lineage, options_of
from autoloss.names import two_alike
from autoloss.search.simplex import TIMES, finest, size
from autoloss.significance import can_be_significant, seeds_needed
from autoloss.study import identity
from autoloss.study.groups import APART, GROUPS
from autoloss.study.kept import other_runs
from autoloss.study.planned_regimes import check_regimes
from autoloss.study.regimes import BASE
from autoloss.study.study import Study


def plan_study(
    files: Iterable[Path], arguments: Iterable[str], root: Path, dataset: str | None = None
) -> Study:
    """The study of `snakemake --configfile FILES --config ARGUMENTS`, every part looked at.

    Of data sets all that it names; or only this `dataset`, which is to be prepared: one that the
    study does not name in the one split that it has, where a date or a column says it.

    Raises:
        ConfigError: it names what is not there, or what is incomplete or misspelt in its file.
            (In a rule Snakemake would take that for a missing input of something made before.)
    """
    given = read_given(files, arguments)
    overrides = merged(given)
    study = Study.load(overrides, root, given)
    if dataset is not None:
        named = study.config.study.named_datasets()
        if dataset not in named and load_dataset(dataset, root).split.by != "random":
            config = overlay(study.config, {"study": {"splits": 1}}, "study.splits")
            study = replace(study, config=config)
        _datasets(study, [dataset])
        return study
    _check_effect(study, overrides.get("methods") or {})
    _check_descriptions(study)
    return study


def notes(study: Study) -> list[str]:
    """What the study does without, in sentences.

    Raises:
        ConfigError: the claims name what is not there.
    """
    alone = [group for group in TABLES if not study.comparisons(group)]
    ours = study.label(study.subject)
    return [
        *(f"{study.label(name)} is left out: {why}." for name, why in study.left_out.items()),
        *(f"{group} has no method beside {ours}: nothing is compared there." for group in alone),
        *(f"Figure {name} is left out: it needs {lack}." for name, lack in study.undrawn().items()),
        *(f"The reading '{label}' is left out: {why}." for label, why in study.unread.items()),
        *_misfits(study),
        *_kept(study),
        *_idle_options(study),
        *_unread_options(study),
        *_random_searches(study),
        *_coarse_grid(study),
        *_unused_splits(study),
        *_too_few_seeds(study),
        *claim_notes(study),
    ]


def _misfits(study: Study) -> list[str]:
    """Sentences on what the regimes cannot have of this study, if there is any."""
    if study.regimes.points and not study.takes(BASE):
        return [f"regimes has no gains: they are over {BASE}, which study.methods has not."]
    if not study.misfits:
        return []
    name, why = next(iter(study.misfits.items()))
    more = f", and so for {len(study.misfits) - 1} more" if len(study.misfits) > 1 else ""
    return [f"regimes does without {name}: {why}{more}."]


def _kept(study: Study) -> list[str]:
    """A sentence on the runs of another configuration that stand under the study's name."""
    other = other_runs(study)
    mend = "they are kept: give this study a name of its own, `study: {name: ...}`."
    return [f"{study.results} {other}; {mend}"] if other else []


def _too_few_seeds(study: Study) -> list[str]:
    """A sentence on the families in which no comparison can be significant, if there are."""
    alpha, (pairs, name) = study.config.statistics.alpha, study.pairs
    families = {g: study.comparisons(g) for g in GROUPS if g not in APART}
    short = {g: m for g, m in families.items() if not can_be_significant(pairs, m, alpha)}
    if not short:
        return []
    largest = max(short.values())
    return [
        f"No comparison can be significant in {', '.join(short)} with study.{name}: {pairs}: of "
        f"the {largest} comparisons by a metric that the largest has, Holm needs "
        f"{seeds_needed(largest, alpha)} {name}."
    ]


def _unused_splits(study: Study) -> list[str]:
    """A sentence on the splits that no run has, if there are."""
    seeds, splits = study.config.study.seeds, study.config.study.splits
    if splits <= seeds:
        return []
    return [
        f"study.splits is {splits} and study.seeds {seeds}: run k of a cell is on split k, so that "
        f"{splits - seeds} of the splits are prepared and never used (study.splits: {seeds} will "
        "do)."
    ]


def _idle_options(study: Study) -> list[str]:
    """A sentence per method on the options that the configuration leaves without effect.

    What has none by the method's own defaults is the method's nature, and not said.
    """
    sentences = []
    for name, entry in study.methods.items():
        if not study.takes(name):
            continue
        usual = idle_of(entry.info, options_of(entry.info, {}, study.methods))
        idle = idle_of(entry.info, study.settings(name)["method"])
        by_reason: dict[str, list[str]] = {}
        for key in idle.keys() - usual.keys():
            by_reason.setdefault(idle[key], []).append(key)
        for why, keys in by_reason.items():
            sentences.append(
                f"{' and '.join(sorted(keys))} of {study.label(name)}: no effect; {why}."
            )
    return sentences


def _unread_options(study: Study) -> list[str]:
    """A sentence per option that is set, of a method, loss or model that no run of the study has.

    What the scale sets is not said: it is for the methods that there are.
    """
    scale = load_config({"scale": study.config.scale}, study.root)
    there = [cell for group in GROUPS if study.has(group) for cell in study.cells(group)]
    cells = {(cell.model, cell.method): cell for cell in there}
    methods = {study.base(method) for _, method in cells}
    bases = {name for method in methods for name in lineage(method, study.methods)}
    unread = {
        f"methods.{name}.{key}": study.methods[name].info.label
        for name, options in study.config.methods.items()
        if name not in bases
        for key, value in options.items()
        if scale.methods.get(name, {}).get(key) != value
    }
    read = {file for cell in cells.values() for file in identity.own_files(study, cell)}
    for room, section in (("losses", "losses"), ("models", "model")):
        asked, usual = getattr(study.config, section), getattr(scale, section)
        unread |= {
            f"{section}.{key}": info.label
            for name, info in entries(room).items()
            if f"{room}/{name}.py" not in read
            for key in info.options
            if getattr(asked, key) != getattr(usual, key)
        }
    return [
        f"{key} is set, and no run of this study reads it: it is an option of {label}."
        for key, label in unread.items()
    ]


def _check_effect(study: Study, asked: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse an option that a user has set of a method and that changes nothing there.

    What a method has as the one that it is based on is for that one's sake, and no error.

    Raises:
        ConfigError: it names the option and why it has no effect.
    """
    for name in filter(study.takes, asked):
        info = study.methods[name].info
        idle = idle_of(info, study.settings(name)["method"])
        handed_on = asked.get(info.base or "", {})
        for key, value in asked[name].items():
            if key in idle and handed_on.get(key, ...) != value:
                mend = f"leave {key} out, or change what makes it so"
                raise ConfigError(f"methods.{name}.{key}", f"has no effect: {idle[key]}", mend)


def _random_searches(study: Study) -> list[str]:
    """A sentence on searches that end before their model has proposed anything, if there are."""
    candidates, trials = len(study.config.losses.candidates), study.config.tuning.trials
    dimensions = {
        name: len(space) + candidates * study.methods[name].info.searches
        for name in study.methods
        if study.takes(name) and (space := study.search_space(name))
    }
    largest = max(dimensions, key=lambda name: dimensions[name], default="")
    if not largest or trials >= (enough := dimensions[largest] + 2):
        return []
    return [
        f"Tuning is random search alone where a space is large: {study.label(largest)} has "
        f"{dimensions[largest]} dimensions and tuning.trials is {trials}; from {enough} on a model "
        "proposes trials (configs/protocol/tuned.yaml has enough)."
    ]


def _coarse_grid(study: Study) -> list[str]:
    """A sentence on a grid that is coarser than that of the scale as it is, if it is one."""
    if "grid" not in study.methods or not study.takes("grid"):
        return []
    times = TIMES if study.search_space("grid") else 1
    scale = load_config({"scale": study.config.scale}, study.root)
    n, trials = len(study.config.losses.candidates), study.config.tuning.trials
    step = finest(n, trials // times)
    usual = finest(len(scale.losses.candidates), scale.tuning.trials // times)
    if step >= usual:
        return []
    which = f"in steps of 1/{step}" if step > 1 else "equal ones and each candidate alone"
    return [
        f"{study.label('grid')} tries {size(n, step)} weights, {which}: tuning.trials is "
        f"{trials} and there are {n} candidates. Steps of 1/{usual}, as {study.config.scale} has "
        f"them, take {size(n, usual) * times} trials."
    ]


def _datasets(study: Study, names: Iterable[str]) -> dict[str, DatasetSpec]:
    """The descriptions of data sets, by name; their sources and their own files are looked at, too.

    Raises:
        ConfigError: one is incomplete or misspelt, or names a column that its own files have not.
        DataError: a data set's own file has changed since it was prepared.
    """
    specs = {name: study.dataset(name) for name in names}
    for spec in specs.values():
        if not spec.local:
            load_source(spec.source, study.root)
    require_unchanged(
        (spec, (study.prepared_folder(name, split) for split in study.prepared_splits))
        for name, spec in specs.items()
        if spec.local
    )
    for spec in specs.values():
        require_columns(spec)
    return specs


def _check_descriptions(study: Study) -> None:
    """What the files of data sets, sources and readings say, so far as the study names them.

    Raises:
        ConfigError: one is incomplete or misspelt, two would look alike in a table, or a target of
            the frozen controller has another task than its source.
        DataError: a data set's own file has changed since it was prepared.
    """
    options = study.config.study
    datasets = _datasets(study, options.named_datasets())
    of_regimes = {*study.regimes.changed}
    for method in study.variants:
        if method not in of_regimes:  # these are left out where they do not fit
            study.varied(method)
    check_regimes(study)
    _check_pairs(study, datasets)
    if alike := two_alike({name: spec.title for name, spec in datasets.items()}):
        problem = f"{' and '.join(alike)} have one title, '{datasets[alike[0]].title}'"
        mend = "change one's `title`: tables show data sets by it"
        raise ConfigError("study.datasets", problem, mend)
    beside = study.at_frequencies  # readings stand in their own table
    if alike := two_alike({name: study.label(name) for name in (*study.methods, *beside)}):
        problem = f"{' and '.join(alike)} have one label, '{study.label(alike[0])}'"
        mend = "change one's `label`: tables show methods and variants by it"
        raise ConfigError(str(study.entry(alike[0]).file), problem, mend)
    classes = datasets[options.source.dataset].task.classes
    for target in options.targets:
        if (other := datasets[target.dataset].task.classes) != classes:
            problem = f"{target} has {other} classes, the controller of {options.source} {classes}"
            mend = f"name data sets of {classes} classes, or a study.source of {other}"
            raise ConfigError("study.targets", problem, mend)


def _check_pairs(study: Study, datasets: Mapping[str, DatasetSpec]) -> None:
    """Losses of pairs of examples are for two classes.

    Raises:
        ConfigError: a data set has more.
    """
    losses, candidates = entries("losses"), study.config.losses.candidates
    pairs = [name for name in candidates if name in losses and losses[name].in_batch]
    many = [name for name, spec in datasets.items() if spec.task.classes > 2]
    if pairs and many:
        problem = f"has {pairs[0]}, which is for two classes; {many[0]} has more"
        mend = f"leave {pairs[0]} out, or name data sets of two classes alone under `study`"
        raise ConfigError("losses.candidates", problem, mend)
