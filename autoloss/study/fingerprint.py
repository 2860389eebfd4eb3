"""Hashes of the code that can change a number, so that a change reruns what it touches, no more.

What code is, the imports say: a run's is that of training and of its method, model and losses, with
every module of the project that these import at whatever remove, but for the `NEUTRAL` ones. Of a
method's files it is also every module that they name in quotes, and where they may read files
(`open`, `Path`, `__file__`) all files below `baselines/`. Packages that are installed are told
apart by the lock, not here.

Comments, docstrings and layout do not count: the syntax tree is hashed, not the text. Nor does what
a file only says of itself in its `info`, or what counts by its value (`SAID`). Imports neither
torch nor pandas: the Snakefile computes these.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from autoloss.errors import MethodError
from autoloss.folder import assigned, files_of
from autoloss.methods.info import Entry
from autoloss.methods.options import lineage
from autoloss.project import project_root

# Where the training of a run, a search and the preparation of data begin.
TRAINING, SEARCH = "autoloss.training.runner", "autoloss.search.run"
PREPARATION, DERIVATION = "autoloss.data.prepare.dataset", "autoloss.data.prepare.derived"
# What these import and an identity leaves out, with what stands there for it and what it imports.
NEUTRAL = {
    "autoloss/__init__.py": "only names what the package offers",
    "autoloss/config.py": "its values",
    "autoloss/domains.py": "the space by value",
    "autoloss/errors.py": "only says what went wrong",
    "autoloss/faults.py": "only says what stops a job",
    "autoloss/fidelity.py": "only says what a page shows",
    "autoloss/folder.py": "the options by value",
    "autoloss/lock.py": "only waits",
    "autoloss/methods/discover.py": "the method's file",
    "autoloss/methods/info.py": "the options by value",
    "autoloss/methods/load.py": "the method's file",
    "autoloss/methods/options.py": "the options by value",
    "autoloss/methods/promises.py": "only refuses",
    "autoloss/strict.py": "only refuses",
    "autoloss/study/": "the keys that it computes",
    "autoloss/records/": "only keeps what it is given",
    "autoloss/report/__init__.py": "says nothing",
    "autoloss/report/catalogue.py": "only names what is shown",
    "autoloss/data/derived_specs.py": "the description by value",
    "autoloss/data/fetch/": "the raw files, verified by their digests",
    "autoloss/data/folders.py": "only writes files",
    "autoloss/data/manifest.py": "the data's hash",
    "autoloss/data/progress.py": "only says how far it is",
    "autoloss/data/specs.py": "the description by value, the data's hash",
    "autoloss/training/generators.py": "only refuses",
    "autoloss/training/pace.py": "only says how far it is",
    "autoloss/training/display.py": "only says how far it is",
}
# Fields of an `info` that change no run, and why; a field that is not here counts as code.
SAID = {
    **dict.fromkeys(("label", "summary", "paper", "fidelity"), "words"),
    **dict.fromkeys(("tables", "simplex", "choices", "trials_per_candidate"), "read in planning"),
    **dict.fromkeys(("in_batch", "control"), "read in planning, or by tests"),
    **dict.fromkeys(("options", "losses"), "by value, as the run has them"),
    **dict.fromkeys(("tune", "untuned"), "the space by value"),
}
READS = ("open", "Path", "__file__")  # names without which a method's file reads no other file


class Module(NamedTuple):
    """What a file says: its code's digest, and which files of the project it imports or names."""

    code: bytes
    named: tuple[Path, ...]


def training_code(method: str, model: str, losses: Iterable[str], methods: dict[str, Entry]) -> str:
    """Hash of training, and of a run's method, those that it builds on, its model and its losses.

    As `search_code`: of the files as they were when this process asked first. Python imports each
    once, so a later edit is not of what runs here.
    """
    return _hash_of(*run_code(method, model, losses, methods))


def run_code(
    method: str, model: str, losses: Iterable[str], methods: dict[str, Entry]
) -> tuple[tuple[str, ...], tuple[Path, ...]]:
    """Where the code of a run begins: modules, and the files of its method."""
    own = [methods[name].file for name in lineage(method, methods)]
    named = [f"autoloss.losses.{loss}" for loss in sorted(losses)]
    return (TRAINING, f"autoloss.models.{model}", *named), tuple(own)


@cache  # asked for every cell of a plan
def modules_of(model: str, losses: tuple[str, ...]) -> set[str]:
    """The files that a model and losses import, themselves among them, as in `autoloss/`."""
    modules = f"autoloss.models.{model}", *(f"autoloss.losses.{loss}" for loss in losses)
    package = project_root() / "autoloss"
    files = (file for file in reached(modules) if file.is_relative_to(package))
    return {file.relative_to(package).as_posix() for file in files}


def search_code() -> str:
    """Hash of the code that searches, the methods' own apart."""
    return _hash_of((SEARCH,))


def preparation_code(formats: Iterable[str]) -> str:
    """Hash of the code that turns raw files of these formats into arrays."""
    folder = project_root() / "autoloss" / "data" / "formats"
    files, asked = files_of(folder), set(formats)
    said = {file: _formats_in(file.read_bytes()) for file in files}
    own = [file for file, names in said.items() if names is None or names & asked]
    return _hash_of((PREPARATION,), tuple(own or files))


def derivation_code() -> str:
    """Hash of the code that makes splits of another data set's."""
    return _hash_of((DERIVATION,))


@cache  # asked for each split of each data set
def _formats_in(source: bytes) -> set[str] | None:
    """Names of the formats in a file's text; None where it does not say all of them."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # ValueError: a null byte
        return None
    value = assigned(tree, "FORMATS")
    times = sum(isinstance(node, ast.Name) and node.id == "FORMATS" for node in ast.walk(tree))
    if times != 1 or not isinstance(value, ast.Dict):
        return None
    names = [key.value if isinstance(key, ast.Constant) else None for key in value.keys]
    return None if None in names else {str(name) for name in names}


def forget() -> None:
    """Look at the files anew when next asked."""
    _hash_of.cache_clear()
    modules_of.cache_clear()


@cache  # asked for every table and figure
def report_code() -> str:
    """Hash of all of the package, byte by byte: what is made of records is made anew in seconds."""
    digest = hashlib.sha256()
    package = project_root() / "autoloss"
    for file in sorted(package.rglob("*")):
        if file.is_file() and file.suffix in (".py", ".j2", ".css", ".js"):
            digest.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


@cache
def _hash_of(modules: tuple[str, ...], files: tuple[Path, ...] = ()) -> str:
    return code_hash(reached(modules, files), project_root())


def reached(modules: Iterable[str], files: Iterable[Path] = ()) -> set[Path]:
    """All files that importing these modules and files runs, but for what is neutral."""
    root = project_root()
    begin = [file for module in modules for file in _modules(root, module.split("."))]
    return closure([*begin, *files], root)


def code_hash(files: Iterable[Path], root: Path) -> str:
    """16 hexadecimal digits over the places of `files` below `root` and what they say."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(root).as_posix().encode() + read_module(file, root).code)
    return digest.hexdigest()[:16]


def closure(files: Iterable[Path], root: Path) -> set[Path]:
    """`files` and all that they import or name at any remove, but for what is neutral."""
    reached: set[Path] = set()
    todo = list(files)
    while todo:
        file = todo.pop()
        if file not in reached and not _neutral(file, root):
            reached.add(file)
            todo += read_module(file, root).named
    return reached


def read_module(file: Path, root: Path) -> Module:
    """The code in `file` of the project at `root`, or its bytes where it is no Python.

    Raises:
        MethodError: it cannot be read, or is no Python though it says so.
    """
    try:
        source = file.read_bytes()
        return _parsed(source, file, root) if file.suffix == ".py" else Module(source, ())
    except (OSError, SyntaxError, ValueError) as error:  # ValueError: a null byte
        where = f"{file}:{error.lineno or 1}" if isinstance(error, SyntaxError) else str(file)
        raise MethodError(where, f"cannot be read: {error}", "mend or remove it") from error


@cache  # every method's and every run's hash is over the same engine
def _parsed(source: bytes, file: Path, root: Path) -> Module:
    tree = ast.parse(source, filename=str(file))
    _strip(tree)
    named = tuple(dict.fromkeys(_named(tree, file, root)))  # an option may name a module
    _strip_info(tree)
    return Module(hashlib.sha256(ast.dump(tree).encode()).digest(), named)


def _strip(tree: ast.Module) -> None:
    """Take out docstrings, and what `if TYPE_CHECKING:` only names."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            body[:] = [executed for statement in body for executed in _executed(statement)]


def _strip_info(tree: ast.Module) -> None:
    """Take out what an `info` only says, but for what the file reads, as in `self.info.label`."""
    said = SAID.keys() - {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and _last_name(node.value) == "info"
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Assign)
            and [_last_name(target) for target in node.targets] == ["info"]
            and isinstance(node.value, ast.Call)
            and _last_name(node.value.func) == "Info"
        ):
            node.value.keywords = [k for k in node.value.keywords if k.arg not in said]


def _last_name(node: ast.expr) -> str:
    """`c` of `a.b.c`."""
    return ast.unparse(node).rpartition(".")[2]


def _executed(statement: ast.stmt) -> list[ast.stmt]:
    if isinstance(statement, ast.If) and ast.unparse(statement.test).endswith("TYPE_CHECKING"):
        return statement.orelse
    docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return [] if docstring else [statement]


def _named(tree: ast.Module, file: Path, root: Path) -> Iterator[Path]:
    package = file.parent.relative_to(root).parts
    yield from _modules(root, [*package])
    of_a_method = file.is_relative_to(root / "baselines")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _modules(root, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            parts = [*start, *(node.module.split(".") if node.module else ())]
            for alias in node.names:
                yield from _modules(root, [*parts, alias.name])
        elif of_a_method and isinstance(node, ast.Constant) and isinstance(node.value, str):
            parts = node.value.split(".")
            if len(node.value) < 100 and all(part.isidentifier() for part in parts):
                yield from _modules(root, parts)
        elif of_a_method and isinstance(node, ast.Name) and node.id in READS:
            yield from _data_files(root)


def _modules(root: Path, parts: list[str]) -> Iterator[Path]:
    """The files that importing `a.b.c` runs, so far as they are the project's."""
    for count in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:count])
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if file.is_file():
                yield file


def _data_files(root: Path) -> Iterator[Path]:
    """Files below `baselines/` that are no Python: whatever a method may read there."""
    for file in (root / "baselines").rglob("*"):
        hidden = any(part.startswith((".", "__pycache__")) for part in file.relative_to(root).parts)
        if file.is_file() and file.suffix != ".py" and not hidden:
            yield file


@cache
def _neutral(file: Path, root: Path) -> bool:
    return file.relative_to(root).as_posix().startswith(tuple(NEUTRAL))
