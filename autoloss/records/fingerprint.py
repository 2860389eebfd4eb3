"""Hashes of the code that can change a number, so that a change reruns what it touches, no more.

Comments, docstrings and layout do not count: the syntax tree is hashed, not the text. Imports
neither torch nor pandas: the Snakefile computes these.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from autoloss.registry import Entry

# What a training run's numbers depend on, beside its configuration, its data and its method.
TRAINING = (
    "adam.py",
    "asked.py",
    "losses.py",
    "weighting.py",
    "hypergradient.py",
    "method.py",
    "learned.py",
    "controller.py",
    "seeds.py",
    "task.py",
    "metrics.py",
    "data/batches.py",
    "data/prepared.py",
    "kernels/*.py",
    "models/*.py",
    "training/*.py",
)
SEARCH = ("search/*.py",)
PREPARATION = ("data/*.py",)
DRAWING = ("report/figures/*.py",)


def code_hash(files: Iterable[Path]) -> str:
    """16 hexadecimal digits over the syntax trees of `files`."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode() + _code_of(file.read_text(encoding="utf-8")))
    return digest.hexdigest()[:16]


def training_code(method: str, methods: dict[str, Entry]) -> str:
    """Hash of the engine, the method's file and the files of the methods it builds on."""
    package = Path(__file__).resolve().parents[1]
    files = [file for pattern in TRAINING for file in package.glob(pattern)]
    name: str | None = method
    while name is not None:
        files.append(methods[name].file)
        name = methods[name].info.base
    return code_hash(files)


def search_code() -> str:
    """Hash of the code that searches, the methods' own apart."""
    return _package_hash(SEARCH)


def preparation_code() -> str:
    """Hash of the code that turns raw files into arrays."""
    return _package_hash(PREPARATION)


def drawing_code() -> str:
    """Hash of the code that draws figures: they are drawn anew when it changes."""
    return _package_hash(DRAWING)


def _package_hash(patterns: Iterable[str]) -> str:
    package = Path(__file__).resolve().parents[1]
    return code_hash(file for pattern in patterns for file in package.glob(pattern))


@cache  # every method's and every run's hash is over the same engine
def _code_of(source: str) -> bytes:
    return ast.dump(_without_docstrings(ast.parse(source))).encode()


def _without_docstrings(tree: ast.AST) -> ast.AST:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                body[0] = ast.Expr(ast.Constant(""))
    return tree
