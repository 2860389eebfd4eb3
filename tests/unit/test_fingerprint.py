"""A run's identity covers the code that can change it: nothing that it imports is left out."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoloss.errors import MethodError
from autoloss.records.fingerprint import NEUTRAL, SEARCH, TRAINING, closure, code_hash
from tests.interpreter import printed_by
from tests.tiny import ROOT

DEEP = "baselines/_parts/deep.py"  # imported by _helper.py
HELPERS = {  # how a method gets at something, and in which file that is
    "from baselines._helper import W": "baselines/_helper.py",
    "import baselines._helper as h": "baselines/_helper.py",
    "from baselines import _helper": "baselines/_helper.py",
    "from ._helper import *": "baselines/_helper.py",
    "def f():\n    from baselines._helper import W\n    return W": "baselines/_helper.py",
    "import importlib\nh = importlib.import_module('baselines._helper')": "baselines/_helper.py",
    "from baselines._helper import V": DEEP,
    "import baselines._parts.deep": "baselines/_parts/__init__.py",
    "from tools.sums import add": "tools/sums.py",
    "from pathlib import Path\nW = (Path(__file__).parent / 'weights.json').read_text()": (
        "baselines/weights.json"
    ),
    "W = open(f'baselines/{__name__[:0]}weights.json').read()": "baselines/weights.json",
    "import os\nW = [open(f) for f in os.scandir('baselines/coefficients')]": (
        "baselines/coefficients/w.txt"
    ),
}


@pytest.fixture
def project(tmp_path):
    files = {
        "baselines/_helper.py": "from baselines._parts.deep import V\nW = 1\n",
        DEEP: "V = 1\n",
        "baselines/_parts/__init__.py": "",
        "baselines/weights.json": "[1]",
        "baselines/coefficients/w.txt": "1",
        "tools/sums.py": "def add(a, b):\n    return a + b\n",
        "baselines/other.py": "X = 1\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def hashed(root, method):
    return code_hash(closure([method], root), root)


@pytest.mark.parametrize(("line", "helper"), HELPERS.items())
def test_an_edit_of_what_a_method_gets_at_is_an_edit_of_the_method(project, line, helper):
    method = project / "baselines" / "mine.py"
    method.write_text(line + "\n")
    before = hashed(project, method)
    (project / "baselines" / "other.py").write_text("X = 2\n")
    assert hashed(project, method) == before
    edited = project / helper
    edited.write_text(edited.read_text() + "\nY = 2\n")
    assert hashed(project, method) != before


@given(order=st.permutations(range(5)), edited=st.integers(0, 4), circle=st.booleans())
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_however_far_away_and_in_circles(project, order, edited, circle):
    """A chain of helpers: an edit anywhere in it counts."""
    folder = project / "baselines"
    for here, there in pairwise(order):
        (folder / f"_{here}.py").write_text(f"from baselines import _{there}\nA = 1\n")
    last = f"from baselines import _{order[0]}\n" if circle else ""
    (folder / f"_{order[-1]}.py").write_text(last)
    method = folder / "mine.py"
    method.write_text(f"from baselines._{order[0]} import A\n")
    before = hashed(project, method)
    file = folder / f"_{edited}.py"
    file.write_text(file.read_text() + "B = 2\n")
    assert hashed(project, method) != before


def test_hints_of_types_and_comments_do_not_count(project):
    method = project / "baselines" / "mine.py"

    def with_text(text):
        method.write_text(text)
        return hashed(project, method)

    hint = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from baselines import other\n"
    base = with_text(hint + 'def f(x):\n    """Doc."""\n    return x + 1\n')
    (project / "baselines" / "other.py").write_text("X = 3\n")
    assert with_text(hint + 'def f(x):\n    """Word."""\n    # why\n    return x + 1\n') == base
    assert with_text(hint + 'def f(x):\n    """Doc."""\n    return x + 2\n') != base


def test_a_helper_that_is_no_python_is_named(project):
    method = project / "baselines" / "mine.py"
    method.write_text("from baselines._helper import W\n")
    (project / "baselines" / "_helper.py").write_text("W = = 1\n")
    with pytest.raises(MethodError, match=r"_helper\.py:1"):
        hashed(project, method)


def test_nothing_that_training_imports_is_missing_from_a_runs_identity():
    """What is really imported, against what the imports' text says."""
    code = (
        "import sys; import autoloss.training.runner, autoloss.search.run;"
        "from autoloss.registry import MODELS, discover, load;"
        "[__import__(f'autoloss.models.{name}') for name in MODELS];"
        "own = {str(e.file) for e in discover().values()}; [load(name) for name in discover()];"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('autoloss')"
        " and m.__file__ and m.__file__ not in own))"
    )
    imported = {Path(file).relative_to(ROOT).as_posix() for file in printed_by(code).split()}
    begin = [file for pattern in TRAINING + SEARCH for file in ROOT.glob(pattern)]
    hashed = {file.relative_to(ROOT).as_posix() for file in closure(begin, ROOT)}
    left_out = {
        name
        for name in imported - hashed
        if not any(name == known or name.startswith(known) for known in NEUTRAL)
    }
    # Reached through neutral ones alone, which stand for them.
    assert left_out <= {
        "autoloss/fitness.py",
        "autoloss/grid.py",
        "autoloss/names.py",
        "autoloss/target.py",
        "autoloss/variants.py",
    }
    assert {"autoloss/adam.py", "autoloss/kernels/rows.py"} <= imported & hashed


def test_every_neutral_file_is_there():
    for name in NEUTRAL:
        assert (ROOT / name).exists(), name
