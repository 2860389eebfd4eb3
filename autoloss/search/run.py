"""Search for a cell: by its method's own search, or in the tuned protocol by tuning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from autoloss.data.load.prepared import PreparedData
from autoloss.errors import UserError
from autoloss.faults import machine_faults
from autoloss.lock import sole_holder
from autoloss.methods.fixed import BudgetSpentError, Searched
from autoloss.methods.load import load
from autoloss.records.chosen import controller_run
from autoloss.records.store import read_search, remove_temporaries, write_record
from autoloss.search.lab import CellLab
from autoloss.search.tuning import tune
from autoloss.study import identity
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.training.pace import Beat


def search(
    study: Study,
    cell: Cell,
    report: Callable[[str], None],
    beat: Callable[[str, Beat], None] = lambda name, beat: None,
    data: PreparedData | None = None,
) -> Path:
    """Make `search.json` of a cell; one that is there and of this very search is kept.

    Args:
        data: the searches' split of the cell's data, if it is open already.

    Raises:
        MachineError: a disk, memory, a library or a driver failed: no value of any trial.
    """
    with machine_faults(f"the search of {cell}"):
        data = data or PreparedData.open(study.prepared_folder(cell.dataset, study.split_of(None)))
        file, key = study.search_file(cell), identity.search_key(study, cell)
        controller = controller_run(study, cell)
        of = [key, data.data_hash[:16], *([controller] if controller else [])]
        journal = file.parent / ".state" / f"search-{'-'.join(of)}.json"
        lock = journal.with_suffix(".lock")
        with sole_holder(lock, lambda line: report(f"{cell}: {line}"), resumes=True) as held:
            _remove_leftovers(file, journal)
            if _is_done(file, key, data.data_hash, controller):
                report(f"{cell}: already searched ({key})")
            else:

                def say(line: str) -> None:
                    held.about["last"] = line.removeprefix(f"{cell} ")
                    report(line)

                lab = CellLab(study, cell, data, journal, say)

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


def _search(lab: CellLab, file: Path) -> None:
    study, cell, journal = lab.study, lab.cell, lab.journal
    method = load(study.base(cell.method))
    try:
        if issubclass(method, Searched):
            method.search(lab)
        else:
            tune(lab)
    except BudgetSpentError:
        pass  # a searcher may simply go on until there is nothing left
    write_record(lab.record(lab.choose()), file)
    for left in (journal, *journal.parent.glob(f"{journal.stem}.*.pt")):
        left.unlink(missing_ok=True)


def _is_done(file: Path, *identity: str | None) -> bool:
    try:
        done = read_search(file)
    except UserError:
        return False
    return (done.key, done.data_hash, done.controller) == identity
