"""Which methods there are, from the source text of their files alone: no import, and so no torch.

A method is a class with `info = Info(...)` in `baselines/<name>.py`; AutoLoss itself is
`autoloss/methods/autoloss.py`. The metadata is written in literals, so that the workflow can plan
(which methods, which options, which table) in milliseconds.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from pathlib import Path

from autoloss.errors import MethodError, did_you_mean
from autoloss.folder import assigned, files_of, read, require_apart
from autoloss.methods.info import OWN, Entry, Info
from autoloss.methods.options import check_losses, check_tuning
from autoloss.names import name_problem
from autoloss.project import methods_folder, project_root

OWN_FILE = f"autoloss/methods/{OWN}.py"
PLANNED = "AUTOLOSS_METHODS"  # in the environment of Snakemake's jobs: names of their plan's
EXAMPLE = "see baselines/_template.py, or start the file's name with _ if it is no method"


def discover(root: Path | None = None) -> dict[str, Entry]:
    """Every method under `root`, by name, in a fixed order.

    Files that start with `_` or are hidden are no methods. To a job those are that there were when
    it was planned: a file that somebody writes meanwhile stops nothing that runs.

    Raises:
        MethodError: a file cannot be read, breaks the contract, or has a name or label of another.
    """
    root = root or project_root()
    entries: dict[str, Entry] = {}
    planned = os.environ.get(PLANNED)
    for file in files_of(methods_folder(root)):
        if planned is not None and file.stem not in planned.split(","):
            continue
        problem = name_problem(file.stem, OWN)
        if file.stem == OWN:
            problem = f"'{OWN}' is the method in {OWN_FILE}", "choose another name"
        if problem:
            mend = f"rename the file: {problem[1]}; or start it with _ if it is no method"
            raise MethodError(str(file), problem[0], mend)
        entries[file.stem] = _entry(file)
    entries[OWN] = _entry(root / OWN_FILE)
    _check_together(entries)
    return entries


def _check_together(entries: Mapping[str, Entry]) -> None:
    """What methods say of each other holds, and tables can tell them apart."""
    require_apart({entry.file: entry.info.label for entry in entries.values()})
    for entry in entries.values():
        for key in ("base", "frozen"):
            named = getattr(entry.info, key)
            if named is not None and named not in entries:
                problem = f"{key}='{named}' is not a method"
                raise MethodError(str(entry.file), problem, did_you_mean(named, entries))
        check_tuning(entry, entries)
        check_losses(entry)


def _entry(file: Path) -> Entry:
    """The method in a file."""
    owner, info = read(file, Info, EXAMPLE)
    if owner is None:
        raise MethodError(str(file), "has its `info` outside of a class", EXAMPLE)
    if info.name != file.stem:
        raise MethodError(str(file), f"Info(name) is '{info.name}'", "give it the file's name")
    needs = _losses_of(owner)
    return Entry(info, file, owner.name, needs, bool(needs) and _is_plain(owner))


def _is_plain(node: ast.ClassDef) -> bool:
    """Whether a class is a `FixedWeights` that says what it is, its `constant`, and no more."""
    said = (ast.Assign, ast.AnnAssign, ast.Expr)  # the last is its docstring
    only_says = all(isinstance(statement, said) for statement in node.body)
    return only_says and list(map(ast.unparse, node.bases)) == ["FixedWeights"]


def _losses_of(node: ast.ClassDef) -> tuple[str, ...]:
    """The losses that `constant = {...}` weighs, if it is written in literals."""
    constant = assigned(node, "constant")
    try:
        return () if constant is None else tuple(map(str, ast.literal_eval(constant)))
    except (ValueError, TypeError):
        return ()
