"""Modules import each other without a circle, hints of types included."""

from __future__ import annotations

import ast
import re
from graphlib import TopologicalSorter

from tests.interpreter import printed_by
from tests.tiny import ROOT


def name_of(file):
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(file): file for file in (ROOT / "autoloss").rglob("*.py")}


def imported(file):
    """The modules of ours that a file imports, wherever in it, under `if TYPE_CHECKING:` too."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} imports relatively"
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in FILES else node.module for name in modules]
        yield from (name for name in names if name in FILES)


def test_there_is_no_circle_of_imports():
    graph = {name: set(imported(file)) - {name} for name, file in FILES.items()}
    assert graph["autoloss.training.runner"] >= {"autoloss.study.identity", "autoloss.faults"}
    TopologicalSorter(graph).prepare()  # raises a CycleError that names the circle


def test_planning_imports_neither_torch_nor_pandas():
    """Whatever the Snakefile and its parts import of ours."""
    files = [ROOT / "Snakefile", *(ROOT / "autoloss" / "workflow").glob("*.smk")]
    lines = [
        line for f in files for line in re.findall(r"^\s*(from autoloss.*)$", f.read_text(), re.M)
    ]
    assert len(lines) > 10
    code = "\n".join(["import sys", *lines, "print({'torch', 'pandas'} & set(sys.modules))"])
    assert printed_by(code) == "set()"
