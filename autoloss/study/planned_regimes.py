"""The design of where loss search pays, as it is planned: what no run could do is refused.

A change that only the user's own configuration cannot have is left out there, with a note
(`Study.misfits`); one that the configuration cannot have as it is in `configs/` is a mistake.
"""

from __future__ import annotations

from collections.abc import Collection

from autoloss.config import flat
from autoloss.data.specs import DatasetSpec, dataset_names, derived_from, load_dataset
from autoloss.errors import ConfigError, require_known
from autoloss.methods.options import idle_of, options_of
from autoloss.study.regimes import CLEAN_PART, Expectation
from autoloss.study.study import Study

REGION = {"inside", "field", "ids"}  # options of weights that are others in a region


def check_regimes(study: Study) -> None:
    """What the design asks can be done, so far as descriptions and methods say.

    Raises:
        ConfigError: a change sets what there is not, a region or a field is none of its data set,
            or a prediction is about a weight that is given or that there is not.
    """
    file = str(study.root / "configs" / "regimes.yaml")
    shipped = Study.load({}, study.root)
    _check_changes(study, shipped, file)
    _check_data(study, file)
    for prediction in study.regimes.predictions:
        for k, expected in enumerate(prediction.expect):
            if expected.candidate is not None:
                where = f"{file}, predictions.{prediction.name}.expect.{k}"
                _check_weight((study, shipped), expected, where)


def _check_changes(study: Study, shipped: Study, file: str) -> None:
    """As the study is shipped, each change can be had, and changes something of its methods."""
    for change in study.regimes.changes:
        where = f"{file}, changes.{change.name}.set"
        for name, variant in change.variants().items():
            try:
                settings = shipped.varied(name).settings(name)
            except ConfigError as error:
                own = any(key in error.where or error.where in key for key, _ in flat(change.set))
                if name not in study.misfits or not own:
                    continue  # what this study has decides, or what else the configuration says
                problem = f"{error.where}: {error.problem}"
                raise ConfigError(where, problem, error.mend) from None
            idle = idle_of(study.entry(name).info, settings["method"])
            if dead := idle.keys() & change.set.get("methods", {}).get(variant.base, {}).keys():
                key = min(dead)
                problem = f"{key} of {variant.base} has no effect: {idle[key]}"
                raise ConfigError(where, problem, f"leave {key} out, or change what makes it so")
            if settings == shipped.settings(variant.base):
                problem = f"changes nothing of {variant.base}"
                mend = f"write keys that do, as `methods: {{{variant.base}: {{...}}}}`, or take "
                raise ConfigError(where, problem, f"{mend}{variant.base} out of `methods`")


def _check_data(study: Study, file: str) -> None:
    """Data sets have the regions that are said of them, and what points make of them can be made.

    So have they those in which a method that is run on them has other weights than elsewhere.
    """
    design, there = study.regimes, {*study.cells("regimes")}
    require_known(design.regions, dataset_names(study.root), "data set", f"{file}, regions")
    for name, region in design.regions.items():
        _require_ids(load_dataset(name, study.root), region.field, region.ids, f"{file}, regions")
    for point in design.points:
        where, base = f"{file}, points.{point.name}", load_dataset(point.data, study.root)
        for made in design.made(point):
            try:
                derived_from(base, made, "")
            except ConfigError as error:
                raise ConfigError(f"{where}.data", error.problem, error.mend) from None
        for method in design.run_at(point):
            if method == CLEAN_PART or design.cell_of(point, method) not in there:
                continue
            if options_of(study.entry(method).info, {}, study.methods).keys() >= REGION:
                options = study.settings(method)["method"]
                if options["inside"]:
                    at = f"{where}.methods, {method}"
                    _require_ids(base, options["field"], options["ids"], at)


def _require_ids(data: DatasetSpec, field: str, ids: Collection[int], where: str) -> None:
    """A data set has a field, and that such ids, where the description says how many there are."""
    fields = [known.name for known in data.fields]
    require_known([field], fields, f"field of {data.name}", where)
    said = [part.distinct for part in (data.expected, data.inferred) if part]
    most = next((counts[field] for counts in said if field in counts), None)
    if not ids or (most is not None and max(ids) > most):
        problem = f"names the ids {[*ids]} of {field} of {data.name}"
        upto = f", from 1 (the most frequent value) to {most}" if most else ""
        raise ConfigError(where, problem, f"name one or more{upto}")


def _check_weight(studies: Collection[Study], expected: Expectation, where: str) -> None:
    """A weight that is expected is learned or searched, of a candidate in one of the studies."""
    known: dict[str, None] = {}
    for study in studies:
        info = None if expected.of == CLEAN_PART else study.entry(expected.of).info
        if info is None or info.given:
            problem = f"weights of {expected.of} are given: what is expected of them cannot fail"
            mend = "name a method that learns or searches its weights"
            raise ConfigError(f"{where}.of", problem, mend)
        if expected.of not in study.misfits:
            known |= dict.fromkeys(study.varied(expected.of).config.losses.candidates)
        if expected.candidate in known:
            return
    if not known:
        return  # no study here has it, which is noted
    kind = f"candidate of {expected.of}"
    require_known([expected.candidate or ""], known, kind, f"{where}.candidate")
