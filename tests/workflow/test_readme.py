"""The README's examples, taken from its text and run."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest
import torch

from autoloss.registry import discover, load
from autoloss.task import Task
from tests.tiny import ROOT
from tests.workflow.project import Project

BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def block(words):
    (found,) = [text for text in BLOCKS if words in text]
    return found


def test_the_loop_of_ones_own_trains_model_and_controller():
    names: dict = {}
    torch.manual_seed(0)
    before = {
        k: v.clone() for k, v in load("autoloss")(Task(2)).state_dict().items() if k[0] == "w"
    }
    exec(block("from autoloss import AutoLoss"), names)
    assert torch.isfinite(names["loss"])
    assert names["model"][0].weight.grad.abs().sum() > 0
    after = names["method"].state_dict()
    assert any(not torch.equal(before[k], after[k]) for k in before)


def test_the_example_baseline_is_what_new_baseline_writes_and_passes_the_contract(tmp_path):
    project = Project(tmp_path)
    shutil.copytree(ROOT / "tests", tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    assert project.autoloss("new-baseline", "mine").returncode == 0
    assert (tmp_path / "baselines" / "mine.py").read_text() == block("class Mine")
    assert discover(project.folder)["mine"].info.tables == ("table_2",)
    command = [sys.executable, "-m", "pytest", "tests/contract", "-k", "mine"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 10


@pytest.mark.parametrize(
    "path",
    re.findall(
        r"`((?:autoloss|baselines|configs)/[\w/.]+)`",
        "\n".join(re.split(r"```.*?```", (ROOT / "README.md").read_text(), flags=re.DOTALL)),
    ),
)
def test_paths_that_the_readme_names_exist(path):
    assert path == "baselines/mine.py" or (ROOT / path).exists()
