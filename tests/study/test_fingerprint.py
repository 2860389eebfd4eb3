"""A run's identity covers the code that can change it: nothing that it imports is left out."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoloss.config import LossOptions
from autoloss.errors import MethodError
from autoloss.folder import Info
from autoloss.methods.discover import discover
from autoloss.methods.info import Entry
from autoloss.methods.info import Info as MethodInfo
from autoloss.models import MODELS
from autoloss.study import fingerprint
from autoloss.study.fingerprint import (
    NEUTRAL,
    SAID,
    SEARCH,
    closure,
    code_hash,
    reached,
    run_code,
)
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
    "from autoloss.report.runs import mean": "autoloss/report/runs.py",
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
        "autoloss/report/runs.py": "mean = sum\n",
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


@pytest.mark.parametrize(
    ("method", "model"),
    [("autoloss_frozen", "deepfm"), ("gradnorm", "nfm"), ("slf", "ipnn"), ("l2rw", "autoint")],
)
def test_nothing_that_a_run_imports_is_missing_from_its_identity(method, model):
    """What is really imported, against what the imports' text says."""
    code = (
        "import sys; import autoloss.training.runner, autoloss.search.run;"
        "from autoloss.config import LossOptions, ModelOptions; from autoloss.task import Task;"
        "from autoloss.methods.load import load; from autoloss.models import build_model;"
        f"load('{method}')(); build_model('{model}', [2, 3], Task(), ModelOptions());"
        "print(*(m.__file__ for n, m in sys.modules.items() if m and"
        " n.startswith(('autoloss', 'baselines')) and m.__file__))"
    )
    imported = {Path(file).relative_to(ROOT).as_posix() for file in printed_by(code).split()}
    modules, files = run_code(method, model, LossOptions().candidates, discover())
    hashed = {f.relative_to(ROOT).as_posix() for f in reached((*modules, SEARCH), files)}
    left_out = {
        name
        for name in imported - hashed
        if not any(name == known or name.startswith(known) for known in NEUTRAL)
    }
    # Reached through neutral ones alone, which stand for them.
    assert left_out <= {
        "autoloss/fidelity.py",
        "autoloss/names.py",
        "autoloss/project.py",
        "autoloss/target.py",
    }
    assert {f"autoloss/models/{model}.py", "autoloss/training/loop.py"} <= imported & hashed
    others = {f"autoloss/models/{name}.py" for name in MODELS if name != model}
    assert not others & hashed


def test_every_neutral_file_is_there():
    for name in NEUTRAL:
        assert (ROOT / name).exists(), name


def test_a_run_depends_on_its_own_model_losses_and_format_alone(project, monkeypatch):
    """On the names of modules: a file for each model, loss and format."""
    monkeypatch.setattr("autoloss.study.fingerprint.project_root", lambda: project)
    texts = {
        "training/runner.py": "from autoloss.losses import CandidateLosses\n",
        "losses/__init__.py": "CandidateLosses = 1\n",
        "losses/ce.py": "A = 1\n",
        "losses/focal.py": "from autoloss.losses.ce import A\n",
        "losses/kl.py": "from autoloss.losses._smooth import B\n",
        "losses/_smooth.py": "B = 1\n",
        "models/nfm.py": "from autoloss.layers import mlp\n",
        "models/deepfm.py": "C = 1\n",
        "layers/mlp.py": "D = 1\n",
        "data/prepare/dataset.py": "E = 1\n",
        "data/formats/criteo.py": "FORMATS = {'criteo-kaggle': 1}\n",
        "data/formats/adult.py": "FORMATS = {'adult': 1}\n",
    }
    for name, text in texts.items():
        file = project / "autoloss" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    method = project / "baselines" / "mine.py"
    method.write_text("F = 1\n")
    info = discover()["ce"].info
    methods = {"mine": Entry(info, method, "Mine")}

    def hashes():
        fingerprint.forget()
        return (
            fingerprint.training_code("mine", "nfm", ["kl"], methods),
            fingerprint.training_code("mine", "deepfm", ["focal"], methods),
            fingerprint.preparation_code(["criteo-kaggle"]),
        )

    changes = {
        "training/runner.py": (True, True, False),
        "losses/__init__.py": (True, True, False),
        "losses/ce.py": (False, True, False),
        "losses/focal.py": (False, True, False),
        "losses/_smooth.py": (True, False, False),
        "models/nfm.py": (True, False, False),
        "layers/mlp.py": (True, False, False),
        "models/deepfm.py": (False, True, False),
        "data/prepare/dataset.py": (False, False, True),
        "data/formats/criteo.py": (False, False, True),
        "data/formats/adult.py": (False, False, False),
    }
    for name, changed in changes.items():
        before = hashes()
        (project / "autoloss" / name).write_text(texts[name] + "G = 2\n")
        assert tuple(a != b for a, b in zip(before, hashes(), strict=True)) == changed, name


def test_a_formats_file_counts_for_what_it_has_and_where_its_text_does_not_say(
    project, monkeypatch
):
    monkeypatch.setattr("autoloss.study.fingerprint.project_root", lambda: project)
    folder = project / "autoloss" / "data" / "formats"
    folder.mkdir(parents=True)
    texts = {
        "shop.py": "FORMATS: dict[str, int] = {'shop': 1}\n",
        "mall.py": "NEAR = 'shop'\nFORMATS = {'mall': 1}\n",
        "computed.py": "FORMATS = dict(street=1)\n",
        "added.py": "FORMATS = {'lane': 1}\nFORMATS['alley'] = 2\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / ".#shop.py").write_bytes(b"\xff(")

    def code():
        fingerprint.forget()
        return fingerprint.preparation_code(["shop"])

    for name, text in texts.items():
        before = code()
        (folder / name).write_text(f"{text}MORE = 1\n")
        assert (code() != before) == (name != "mall.py"), name


def test_an_argument_called_fidelity_of_anything_else_counts(project):
    method = project / "baselines" / "mine.py"
    hashes = set()
    for value in (1, 2):
        method.write_text(f"constant = shares(fidelity={value})\n")
        hashes.add(hashed(project, method))
    assert len(hashes) == 2


# Fields of an `info` that change what a run does: a new one is here, or in `SAID` with its reason.
DOES = {"name", "weights", "learns_on", "base", "frozen", "searches", "refits"}


def test_every_field_of_an_info_is_said_to_count_or_not():
    known = {field.name for kind in (MethodInfo, Info) for field in fields(kind)}
    assert known == DOES | SAID.keys()
    assert not DOES & SAID.keys()


def variants(project, *texts):
    """The hash of a method's file with each of these texts."""
    method = project / "baselines" / "mine.py"
    for text in texts:
        method.write_text(text)
        yield hashed(project, method)


@pytest.mark.parametrize("field", sorted(SAID.keys() | DOES | {"unheard_of"}))
@pytest.mark.parametrize("form", ["info = {}\n", "class Mine:\n    info = {}\n"])
def test_what_a_file_only_says_of_itself_changes_no_run(project, field, form):
    calls = ("Info(lr=1)", f'Info(lr=1, {field}="a")', f'Info(lr=1, {field}="b")')
    none, first, other = variants(project, *(form.format(call) for call in calls))
    assert (none == first == other) == (field in SAID)
    assert (first == other) == (field in SAID)


@pytest.mark.parametrize("line", ["K = Mine.info.tune", "def f(self):\n    return self.info.tune"])
def test_what_a_file_reads_of_it_counts(project, line):
    texts = [f"class Mine:\n    info = Info(tune={{'lr': {n}}}, label='{n}')\n" for n in (1, 2)]
    assert len({*variants(project, *texts)}) == 1
    assert len({*variants(project, *(f"{text}{line}\n" for text in texts))}) == 2


@pytest.mark.parametrize(
    "text", ["other = Info(label={})", "info = About(label={})", "Info(label={})"]
)
def test_what_is_no_info_of_a_file_counts(project, text):
    assert len({*variants(project, text.format(1), text.format(2))}) == 2


def test_a_module_that_an_option_names_is_followed(project):
    text = "info = Info(options={'helper': 'baselines._helper'})\n"
    (before,) = variants(project, text)
    (project / "baselines" / "_helper.py").write_text("W = 2\n")
    (after,) = variants(project, text)
    assert before != after


def test_what_is_only_asked_to_refuse_counts_not_and_what_it_is_handed_by_a_call_does(project):
    """As long as it is the project's own module that is asked."""
    method = project / "baselines" / "mine.py"

    def with_text(first, *body):
        lines = [f"    {line}\n" for line in ("y = x", *body, "return y")]
        method.write_text(f"{first}def f(x):\n{''.join(lines)}")
        return hashed(project, method)

    asks = f"from {fingerprint.REFUSES} import require_shape\n"
    base = with_text("")
    assert with_text(asks, "require_shape(x, y.shape, x.labels)") == base
    assert with_text("", "require_shape(x, y.shape, x.labels)") != base
    assert with_text(asks.replace("autoloss", "mine"), "require_shape(x, y, x)") != base
    for counted in ("require_shape(x, y.pop(), x)", "y = require_shape(x, y, x)", "x.sort()"):
        assert with_text(asks, counted) != base
