"""What a run, a search and a product are: hashes that change when they are to be made anew.

All are of configuration, descriptions and code: no record is read. `records.chosen` reads what a
search chose and which controller a run takes, and hands it in.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Any

from autoloss.data.specs import TABLE, load_source
from autoloss.folder import entries
from autoloss.study import fingerprint
from autoloss.study.cell import Cell
from autoloss.study.fingerprint import (
    derivation_code,
    preparation_code,
    report_code,
    search_code,
    training_code,
)
from autoloss.study.study import Study

REPORTED = ("published.yaml", "sensitivity.yaml")  # of configs/: what is beside a configuration


def run_config(study: Study, cell: Cell) -> dict[str, Any]:
    """All of the configuration that a run's numbers can depend on.

    The run whose controller it takes is of the study as planned, without what this search chose.
    """
    config = study.settings(cell.method)
    own = own_files(study, cell)
    for room, part in (("models", "model"), ("losses", "losses")):
        others = [info for name, info in entries(room).items() if f"{room}/{name}.py" not in own]
        for key in (key for info in others for key in info.options):
            del config[part][key]
    if study.stack > 1:  # a run's last bits depend on how many train with it
        config["training"]["stack"] = study.stack
    source = study.controller_of(cell)
    if source:
        config["controller"] = {"cell": str(source), "run_key": run_key(study.as_planned(), source)}
    return config


def own_files(study: Study, cell: Cell) -> set[str]:
    """The files of models and losses whose options the numbers of a cell's runs can depend on."""
    return fingerprint.modules_of(cell.model, tuple(sorted(losses_weighed(study, cell))))


def losses_weighed(study: Study, cell: Cell) -> set[str]:
    """Of these the ones whose constants the numbers of a cell's runs can depend on."""
    entry = study.entry(cell.method)
    return {*entry.needs} if entry.plain else losses_of(study, cell)


def losses_of(study: Study, cell: Cell) -> set[str]:
    """The losses that a run can compute: its candidates, and cross-entropy as fixed criterion."""
    return {*study.varied(cell.method).config.losses.candidates, "ce"}


def code(study: Study, cell: Cell) -> str:
    """Fingerprint of the code of a cell's runs."""
    losses = losses_of(study, cell)
    return training_code(study.base(cell.method), cell.model, losses, study.methods)


def still_the_code(study: Study, cell: Cell) -> bool:
    """Whether the files say now what they said when this process asked for `code`."""
    known = code(study, cell)
    fingerprint.forget()
    return code(study, cell) == known


def run_key(study: Study, cell: Cell) -> str:
    """Hash of a cell, its configuration and its code: when it changes, the cell is rerun."""
    return _hash([str(cell), run_config(study, cell), code(study, cell)])


def run_id(
    study: Study, cell: Cell, seed: int, data_hash: str, controller: str | None = None
) -> str:
    """The identity of a run: equal ids promise equal numbers on one machine class.

    Args:
        study: where the cell has a search, with what that chose laid over it.
        controller: the identity of the run whose controller this one takes, if it takes one.
    """
    taken = [] if controller is None else [controller]
    place = [study.place(seed)[1]] if study.stack > 1 else []  # last bits depend on it
    return _hash([run_key(study, cell), seed, data_hash, *taken, *place])


def search_key(study: Study, cell: Cell) -> str:
    """Hash of all that a search's result can depend on, the data apart."""
    tuning = study.config.tuning.model_dump(mode="json")
    space = list(study.search_space(cell.method).items())  # in the order in which it is drawn from
    return _hash([run_key(study, cell), tuning, study.config.protocol, space, search_code()])


def source_key(study: Study, name: str) -> str:
    """Hash of what a source's raw files are: its mirrors and their checksums."""
    return _hash(load_source(name, study.root).model_dump(mode="json")["mirrors"])


def preparation_key(study: Study, name: str) -> str:
    """Hash of a data set's description, the row limit and the code that prepares it."""
    spec = study.dataset(name)
    if spec.derived:
        base = preparation_key(study, spec.derived.base)
        return _hash([spec.derived.model_dump(mode="json"), spec.title, base, derivation_code()])
    mirrors = () if spec.local else load_source(spec.source, study.root).mirrors
    formats = {mirror.format for mirror in mirrors} or {TABLE}
    description = spec.model_dump(mode="json")
    return _hash([description, study.config.study.max_rows, preparation_code(formats)])


def report_key(study: Study) -> str:
    """Hash of what indexes, statistics, tables and figures depend on beside runs and data.

    Of the regimes' design points and changes: predictions are judged when a product is made. None
    is made of the claims: verdicts have their hash, and take their file as it is.
    """
    config = study.config.model_dump(mode="json")
    methods = {name: asdict(entry.info) for name, entry in study.methods.items()}
    files = [(study.root / "configs" / name).read_text("utf-8") for name in REPORTED]
    design = study.regimes.model_dump(mode="json", exclude={"predictions"})
    return _hash([config, methods, files, design, report_code()])


def design_key(study: Study) -> str:
    """Hash of all that the regimes' design says, predictions and their wording too."""
    return _hash(study.regimes.model_dump(mode="json"))


def _hash(content: Any) -> str:
    text = json.dumps(content, sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
