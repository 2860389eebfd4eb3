"""A search that chose one candidate alone: its cell's runs are that candidate's, bit for bit.

Candidates of weight 0 are not computed, and every draw has an address that names no method. So a
run is not trained where the candidate's own, of the same seed, data and options, is there already.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile

from autoloss.errors import UserError
from autoloss.methods.fixed import FixedWeights, Searched
from autoloss.methods.load import load
from autoloss.records.chosen import run_id_of, with_chosen
from autoloss.records.predictions import check_predictions
from autoloss.records.schema import Record
from autoloss.records.store import read_limited, read_record
from autoloss.study import identity
from autoloss.study.cell import Cell
from autoloss.study.study import Study

OWN = {"info", "constant", "constants", "search", "__doc__", "__module__", "__abstractmethods__"}
COMPUTED = ("model", "losses", "training")  # of a run's configuration, beside its weights


def equal_run(study: Study, cell: Cell, seed: int, data_hash: str) -> tuple[Record, bytes] | None:
    """The candidate's record and predictions that a searched cell's run equals; None without.

    Raises:
        RecordError: the cell's search has not been made, or its file is damaged.
    """
    if not study.entry(cell.method).info.searches:
        return None
    chosen, names = with_chosen(study, cell), study.config.losses.candidates
    settings = identity.run_config(chosen, cell, study)
    weights = dict(zip(names, settings["method"]["weights"], strict=True))
    alone = next((name for name, weight in weights.items() if weight == 1), None)
    if alone not in study.methods or not _is_alone(alone, study.base(cell.method)):
        return None
    other = replace(cell, method=alone)
    file = study.predictions_file(other, seed)
    try:
        record, predictions = read_record(study.record_file(other, seed)), read_limited(file)
        check_predictions(predictions, record, str(file))
        known = record.run_id == run_id_of(study, other, seed, data_hash)
    except UserError:  # it, or its search, is not there, or not whole
        return None
    known = known and all(record.config[part] == settings[part] for part in COMPUTED)
    return (record, predictions) if known else None


def _is_alone(candidate: str, searching: str) -> bool:
    """Whether both methods do nothing but weigh by constants, the candidate's 1 for itself."""
    classes = load(candidate), load(searching)
    constant = getattr(classes[0], "constant", None)
    return constant == {candidate: 1.0} and all(map(_only_weighs, classes))


def _only_weighs(method: type) -> bool:
    if not issubclass(method, FixedWeights):
        return False
    below = takewhile(lambda c: c not in (Searched, FixedWeights), method.__mro__)
    return not {name for c in below for name in vars(c)} & ({*dir(FixedWeights)} - OWN)
