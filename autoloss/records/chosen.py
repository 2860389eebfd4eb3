"""What a run takes from others that were made before it: its search's choice, its controller."""

from __future__ import annotations

from autoloss.records.store import read_record, read_search
from autoloss.study import identity
from autoloss.study.cell import Cell
from autoloss.study.study import Study


def with_chosen(study: Study, cell: Cell) -> Study:
    """The study with the cell's variant, and what its search chose, laid over it.

    Raises:
        RecordError: the search has not been made, or its file is damaged.
    """
    if not study.searches(cell):
        return study.varied(cell.method)
    file = study.search_file(cell)
    return study.with_assignment(cell.method, read_search(file).chosen, str(file))


def seed_of_search(study: Study, cell: Cell) -> int:
    """The run of its source whose controller a frozen method's search takes.

    It is the first of the first shard that left one; the first of all, if none did.

    Raises:
        RecordError: a run has not been made, or its record is damaged.
    """
    source, (first, last) = study.controller_of(cell), study.shards()[0]
    left = (
        seed
        for seed in range(first, last + 1)
        if source and read_record(study.record_file(source, seed)).status == "ok"
    )
    return next(left, first)


def controller_run(study: Study, cell: Cell, seed: int | None = None) -> str | None:
    """The identity of the run whose controller a frozen method's run, or its search, takes.

    Args:
        seed: of the run; of its search, if left out.

    Raises:
        RecordError: that run has not been made, or its record is damaged.
    """
    source = study.controller_of(cell)
    if source is None:
        return None
    seed = seed_of_search(study, cell) if seed is None else seed
    return read_record(study.record_file(source, seed)).run_id


def run_id_of(study: Study, cell: Cell, seed: int, data_hash: str) -> str:
    """The identity of a run, from its search and the run whose controller it takes.

    Raises:
        RecordError: one of them has not been made, or its file is damaged.
    """
    controller = controller_run(study, cell, seed)
    return identity.run_id(with_chosen(study, cell), cell, seed, data_hash, controller)
