"""What there is of each cell: runs by state, and whether its search is done.

Lists of shards say most; a record is read only where no list names its run. Whatever cannot be read
is counted as damaged: a file may be half-written, or of another version.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from autoloss.data.manifest import MANIFEST
from autoloss.errors import UserError
from autoloss.study import Cell, Study

STATES = ("done", "running", "failed", "stale", "damaged", "missing")
SHARDS, RECORDS = "seeds_*-*.json", "seed_*.json"


@dataclass
class CellState:
    """A cell's runs: state by seed, and by seed when its record was written, and its identity.

    `search` is None where nothing is searched; `searched`: when it was written. `damaged`: files
    that cannot be read.
    """

    cell: Cell
    runs: dict[int, str]
    written: dict[int, float] = field(default_factory=dict)
    ids: dict[int, str] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)
    search: str | None = None
    searched: float = 0.0
    damaged: list[Path] = field(default_factory=list)

    @property
    def counts(self) -> Counter[str]:
        """Runs by state."""
        return Counter(self.runs.values())

    @property
    def complete(self) -> bool:
        """Whether every run has been made and succeeded."""
        return all(state == "done" for state in self.runs.values())


def read_cell(study: Study, cell: Cell, data_hash: str | None) -> CellState:
    """What there is of a cell; never raises for what its files hold.

    Args:
        data_hash: of the prepared data, to see whether runs are of this configuration; or None.
    """
    state = CellState(cell, dict.fromkeys(range(study.config.study.seeds), "missing"))
    files = _listing(study.cell_folder(cell))
    for name, modified in files.items():
        if _is(name, "seed_"):
            seed = _number(name)
            if seed in state.runs:
                state.written[seed] = modified
    for name in files:
        if _is(name, "seeds_"):
            _read_shard(state, study.cell_folder(cell) / name)
    for seed in sorted(state.written):
        if state.runs[seed] == "missing":
            _read_record(state, study.record_file(cell, seed), seed)
        elif state.runs[seed] == "failed":
            _read_failure(state, study.record_file(cell, seed), seed)
    if study.searches(cell):
        state.searched = files.get(study.search_file(cell).name, 0.0)
        state.search = _search_state(study, state, data_hash)
    _mark_stale(study, state, data_hash)
    return state


def data_hashes(study: Study, cells: list[Cell]) -> dict[str, str | None]:
    """The hash of each data set as prepared, None where it is not."""
    found: dict[str, str | None] = {}
    for name in dict.fromkeys(cell.dataset for cell in cells):
        content = read_json(study.prepared_folder(name) / MANIFEST)
        found[name] = content.get("data_hash") if content else None
    return found


def read_json(file: Path) -> dict[str, Any] | None:
    """The object in `file`, None if there is none or it cannot be read."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _listing(folder: Path) -> dict[str, float]:
    """Names of a folder's files and when they were written."""
    try:
        with os.scandir(folder) as entries:
            found = {}
            for entry in entries:
                try:
                    found[entry.name] = entry.stat().st_mtime
                except OSError:
                    continue  # renamed or deleted just now
            return found
    except OSError:
        return {}


def _is(name: str, start: str) -> bool:
    return name.startswith(start) and name.endswith(".json")


def _number(name: str) -> int:
    digits = name.removeprefix("seed_").removesuffix(".json")
    return int(digits) if digits.isdecimal() else -1


def _read_shard(state: CellState, file: Path) -> None:
    content = read_json(file)
    try:
        runs = [(run["seed"], run["status"], run["run_id"]) for run in (content or {})["runs"]]
    except (KeyError, TypeError):
        state.damaged.append(file)  # its records say what it would have
        return
    for seed, status, run_id in runs:
        if seed in state.written:  # the list without its record is worth nothing
            state.runs[seed] = "done" if status == "ok" else "failed"
            state.ids[seed] = str(run_id)


def _read_record(state: CellState, file: Path, seed: int) -> None:
    content = read_json(file)
    status = (content or {}).get("status")
    if content is None or status not in ("ok", "failed"):
        state.runs[seed] = "damaged"
        state.damaged.append(file)
        return
    state.runs[seed] = "done" if status == "ok" else "failed"
    state.ids[seed] = str(content.get("run_id"))
    if status == "failed":
        state.failures[seed] = _why(content)


def _read_failure(state: CellState, file: Path, seed: int) -> None:
    state.failures[seed] = _why(read_json(file) or {})


def _why(content: dict[str, Any]) -> str:
    failure = content.get("failure")
    if not isinstance(failure, dict):
        return "the record does not say why"
    lines = str(failure.get("message", "")).splitlines() or [""]
    return f"{failure.get('kind', 'an error')}: {lines[0]}"


def _search_state(study: Study, state: CellState, data_hash: str | None) -> str:
    file = study.search_file(state.cell)
    if not file.exists():
        return "missing"
    content = read_json(file)
    if content is None or "chosen" not in content:
        state.damaged.append(file)
        return "damaged"
    same = content.get("key") == study.search_key(state.cell)
    return "done" if same and data_hash in (None, content.get("data_hash")) else "stale"


def _mark_stale(study: Study, state: CellState, data_hash: str | None) -> None:
    """Runs of another configuration, code or data will be repeated.

    All identities are compared only where the first and the last seed's do not agree.
    """
    seeds = sorted(state.ids)
    if not seeds or data_hash is None:
        return

    def is_stale(seed: int) -> bool:
        try:
            return state.ids[seed] != study.run_id(state.cell, seed, data_hash)
        except UserError:
            return True  # what it was made with, its search or controller, is not there any more

    first, last = is_stale(seeds[0]), is_stale(seeds[-1])
    for seed in seeds:
        if first if first == last else is_stale(seed):
            state.runs[seed] = "stale"
            state.failures.pop(seed, None)
