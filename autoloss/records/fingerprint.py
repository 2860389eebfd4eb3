"""Hashes of the code that can change a number, so that a change reruns what it touches, no more.

What code is, the imports say: a file's hash covers every module of the project that it imports, at
whatever remove, or names in quotes, and where a method may read files (`open`, `Path`, `__file__`)
all files below `baselines/`. Packages that are installed are told apart by the lock, not here.

Comments, docstrings and layout do not count: the syntax tree is hashed, not the text. Imports
neither torch nor pandas: the Snakefile computes these.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from autoloss.errors import MethodError
from autoloss.registry import Entry, project_root

# Where a training run, a search and the preparation of data begin; patterns below the root.
TRAINING = ("autoloss/training/loop.py", "autoloss/training/runner.py", "autoloss/models/*.py")
SEARCH = ("autoloss/search/run.py",)
PREPARATION = ("autoloss/data/prepare.py",)
# What these import and an identity leaves out, with what stands there for it and what it imports.
NEUTRAL = {
    "autoloss/__init__.py": "only names what the package offers",
    "autoloss/config.py": "its values",
    "autoloss/errors.py": "only says what went wrong",
    "autoloss/faults.py": "only says what stops a job",
    "autoloss/lock.py": "only waits",
    "autoloss/registry.py": "the options by value, the method's file",
    "autoloss/strict.py": "only refuses",
    "autoloss/study.py": "the key that it computes",
    "autoloss/records/": "only keeps what it is given",
    "autoloss/data/atomic.py": "only writes files",
    "autoloss/data/fetch.py": "the raw files, verified by their digests",
    "autoloss/data/fetching/": "the raw files, verified by their digests",
    "autoloss/data/manifest.py": "the data's hash",
    "autoloss/data/progress.py": "only says how far it is",
    "autoloss/data/registry.py": "the description by value, the data's hash",
    "autoloss/training/pace.py": "only says how far it is",
    "autoloss/training/progress.py": "only says how far it is",
}


READS = ("open", "Path", "__file__")  # names without which a method's file reads no other file


class Module(NamedTuple):
    """What a file says: its code's digest, and which files of the project it imports or names."""

    code: bytes
    named: tuple[Path, ...]


def code_hash(files: Iterable[Path], root: Path) -> str:
    """16 hexadecimal digits over the places of `files` below `root` and what they say."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.relative_to(root).as_posix().encode() + read_module(file, root).code)
    return digest.hexdigest()[:16]


def training_code(method: str, methods: dict[str, Entry]) -> str:
    """Hash of the engine, of the method's file and those of the methods it builds on.

    As `search_code`: of the files as they were when this process asked first. Python imports each
    once, so a later edit is not of what runs here.
    """
    own = [methods[method].file]
    while (base := methods[method].info.base) is not None:
        method = base
        own.append(methods[method].file)
    return _hash_of(TRAINING, tuple(own))


def search_code() -> str:
    """Hash of the code that searches, the methods' own apart."""
    return _hash_of(SEARCH)


def preparation_code() -> str:
    """Hash of the code that turns raw files into arrays."""
    return _hash_of(PREPARATION)


@cache  # asked for every table and figure
def report_code() -> str:
    """Hash of all of the package, byte by byte: what is made of records is made anew in seconds."""
    digest = hashlib.sha256()
    package = project_root() / "autoloss"
    for file in sorted(package.rglob("*")):
        if file.is_file() and file.suffix in (".py", ".j2", ".css", ".js"):
            digest.update(file.relative_to(package).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()[:16]


def closure(files: Iterable[Path], root: Path) -> set[Path]:
    """`files` and all that they import or name at any remove, but for what is neutral."""
    reached, todo = set(), list(files)
    while todo:
        file = todo.pop()
        if file not in reached:
            reached.add(file)
            todo += (name for name in read_module(file, root).named if not _neutral(name, root))
    return reached


def read_module(file: Path, root: Path) -> Module:
    """The code in `file` of the project at `root`, or its bytes where it is no Python.

    Raises:
        MethodError: it cannot be read, or is no Python though it says so.
    """
    try:
        source = file.read_bytes()
    except OSError as error:
        raise MethodError(str(file), f"cannot be read: {error}", "mend or remove it") from error
    return _parsed(source, file, root) if file.suffix == ".py" else Module(source, ())


@cache  # every method's and every run's hash is over the same engine
def _parsed(source: bytes, file: Path, root: Path) -> Module:
    try:
        tree = ast.parse(source, filename=str(file))
    except (SyntaxError, ValueError) as error:  # ValueError: a null byte
        line = getattr(error, "lineno", None) or 1
        raise MethodError(f"{file}:{line}", str(error), "correct the syntax") from error
    named = tuple(dict.fromkeys(_named(tree, file, root)))
    code = ast.dump(_without_docstrings(tree)).encode()
    return Module(hashlib.sha256(code).digest(), named)


def _named(tree: ast.Module, file: Path, root: Path) -> Iterator[Path]:
    package = file.parent.relative_to(root).parts
    for node in _executed(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _modules(root, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else ()
            parts = [*start, *(node.module or "").split(".")]
            parts = [part for part in parts if part]
            for alias in node.names:
                yield from _modules(root, [*parts, alias.name])
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from _literal(node.value, file, root)
        elif isinstance(node, ast.Name) and node.id in READS and _is_methods(file, root):
            yield from _data_files(root)


def _executed(tree: ast.Module) -> Iterator[ast.AST]:
    """Every node but those under `if TYPE_CHECKING:`, which only name types."""
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        yield node
        hints = isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")
        todo += node.orelse if hints and isinstance(node, ast.If) else ast.iter_child_nodes(node)


def _modules(root: Path, parts: list[str]) -> Iterator[Path]:
    """The files that importing `a.b.c` runs, so far as they are the project's."""
    for count in range(1, len(parts) + 1):
        place = root.joinpath(*parts[:count])
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if file.is_file():
                yield file


def _literal(text: str, file: Path, root: Path) -> Iterator[Path]:
    """What a method's file names in quotes: a module by its dotted name."""
    if not _is_methods(file, root) or not 0 < len(text) < 100:
        return
    if "." in text and all(part.isidentifier() for part in text.split(".")):
        yield from _modules(root, text.split("."))


def _is_methods(file: Path, root: Path) -> bool:
    return file.is_relative_to(root / "baselines")


def _data_files(root: Path) -> Iterator[Path]:
    """Files below `baselines/` that are no Python: whatever a method may read there."""
    for file in (root / "baselines").rglob("*"):
        hidden = any(part.startswith((".", "__pycache__")) for part in file.relative_to(root).parts)
        if file.is_file() and file.suffix != ".py" and not hidden:
            yield file


def still_the_code(method: str, methods: dict[str, Entry]) -> bool:
    """Whether the files say now what they said when this process asked for `training_code`."""
    known = training_code(method, methods)
    _hash_of.cache_clear()
    return training_code(method, methods) == known


@cache
def _hash_of(patterns: tuple[str, ...], own: tuple[Path, ...] = ()) -> str:
    root = project_root()
    begin = [file for pattern in patterns for file in root.glob(pattern)]
    return code_hash(closure([*begin, *own], root), root)


def _neutral(file: Path, root: Path) -> bool:
    place = file.relative_to(root).as_posix()
    return any(place == name or (name[-1] == "/" and place.startswith(name)) for name in NEUTRAL)


def _without_docstrings(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[0] = ast.Expr(ast.Constant(""))
    return tree
