"""Search for a cell: by its method's own search, or in the tuned protocol by tuning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from autoloss.data.prepared import PreparedData
from autoloss.errors import UserError
from autoloss.faults import machine_faults
from autoloss.lock import sole_holder
from autoloss.method import Searched
from autoloss.records.store import read_search, remove_temporaries, write_record
from autoloss.registry import load
from autoloss.search.lab import BudgetSpentError, Lab
from autoloss.search.tuning import tune
from autoloss.study import Cell, Study
from autoloss.training.pace import Beat


def search(
    study: Study,
    cell: Cell,
    report: Callable[[str], None],
    beat: Callable[[str, Beat], None] = lambda name, beat: None,
) -> Path:
    """Make `search.json` of a cell; one that is there and of this very search is kept.

    Raises:
        MachineError: a disk, memory, a library or a driver failed: no value of any trial.
    """
    with machine_faults(f"the search of {cell}"):
        data = PreparedData.open(study.prepared_folder(cell.dataset))
        file, key = study.search_file(cell), study.search_key(cell)
        journal = file.parent / ".state" / f"search-{key}-{data.data_hash[:16]}.json"
        lock = journal.with_suffix(".lock")
        with sole_holder(lock, lambda line: report(f"{cell}: {line}")) as held:
            _remove_leftovers(file, journal)
            if _is_done(file, key, data.data_hash):
                report(f"{cell}: already searched ({key})")
            else:
                lab = Lab(study, cell, data, journal, report)

                def listen(at: Beat) -> None:
                    trial = f"trial {len(lab.tried)}"
                    beat(f"{cell} {trial}", at)
                    held.note(epoch=at.epoch, said=f"{trial}, {at.position}")

                lab.listener = listen
                _search(lab, file)
        return file


def _remove_leftovers(file: Path, journal: Path) -> None:
    """What killed processes left half-written of this search; nobody writes it now."""
    for place in (file, journal):
        remove_temporaries(place)
    for left in journal.parent.glob(f".{journal.stem}.*.pt.*.tmp"):  # trials' checkpoints
        left.unlink(missing_ok=True)


def _search(lab: Lab, file: Path) -> None:
    study, cell, journal = lab.study, lab.cell, lab.journal
    method = load(study.base(cell.method))
    try:
        if issubclass(method, Searched):
            method.search(lab)
        else:
            tune(lab, study.search_space(cell.method), _published(study, cell))
    except BudgetSpentError:
        pass  # a searcher may simply go on until there is nothing left
    write_record(lab.record(lab.choose()), file)
    for left in (journal, *journal.parent.glob(f"{journal.stem}.*.pt")):
        left.unlink(missing_ok=True)


def _published(study: Study, cell: Cell) -> dict[str, Any]:
    """The values that the search space's keys have without a search."""
    config = study.run_config(cell)
    parts = (key.partition(".") for key in study.search_space(cell.method))
    return {f"{part}.{key}": config[part][key] for part, _, key in parts}


def _is_done(file: Path, key: str, data_hash: str) -> bool:
    try:
        done = read_search(file)
    except UserError:
        return False
    return (done.key, done.data_hash) == (key, data_hash)
