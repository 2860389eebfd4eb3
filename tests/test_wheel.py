"""A wheel has what a loop of one's own needs, in any folder, and one package at the top."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from zipfile import ZipFile

import pytest

from tests.tiny import ROOT
from tests.workflow.pages import blocks
from tests.workflow.project import Project

BUILD = "from setuptools import build_meta as b; import sys; b.{}(sys.argv[1])"
USE = """
import sys
from autoloss.methods.discover import discover
from autoloss.methods.load import load
from autoloss.task import Task

methods = discover()
for name in methods:
    load(name)(Task())
print(len(methods))
assert "baselines" not in sys.modules
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """The project's files that a package is made of."""
    folder = tmp_path_factory.mktemp("source")
    left = shutil.ignore_patterns("__pycache__", "mine.py")
    for part in ("autoloss", "baselines"):
        shutil.copytree(ROOT / part, folder / part, ignore=left)
    for part in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / part, folder)
    return folder


def built(source, how, folder):
    """The file that setuptools builds into `folder`."""
    command = [sys.executable, "-c", BUILD.format(how), str(folder)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = folder.iterdir()
    return file


@pytest.fixture(scope="module")
def wheel(source, tmp_path_factory):
    return ZipFile(built(source, "build_wheel", tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """Where it is installed, with the kernels that are compiled already."""
    folder = tmp_path_factory.mktemp("site")
    wheel.extractall(folder)
    kernels = "autoloss/ops/kernels"
    if (ROOT / kernels / "__pycache__").exists():
        left = shutil.ignore_patterns("*.pyc")
        copied = folder / kernels / "__pycache__"
        shutil.copytree(ROOT / kernels / "__pycache__", copied, ignore=left)
        Project.take_kernels(folder / kernels)
    return folder


def run(site, folder, *words):
    """A command with the installed package alone; its output and errors."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "AUTOLOSS"))}
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(site)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def test_it_has_every_file_of_the_package_and_the_methods_within_it(source, wheel):
    inside = {name for name in wheel.namelist() if not name.split("/")[0].endswith(".dist-info")}
    files = {
        file.relative_to(source).as_posix(): file
        for part in ("autoloss", "baselines")
        for file in (source / part).rglob("*")
        if file.is_file()
    }
    moved = {name.replace("baselines/", "autoloss/baselines/", 1) if name.startswith("baselines/")
             else name for name in files}  # fmt: skip
    assert inside == moved
    assert "autoloss/baselines/_hyperband.py" in inside
    (top,) = [name for name in wheel.namelist() if name.endswith("top_level.txt")]
    assert wheel.read(top).split() == [b"autoloss"]


def test_a_source_distribution_has_what_a_wheel_is_built_of(source, tmp_path):
    file = built(source, "build_sdist", tmp_path)
    shutil.unpack_archive(file, tmp_path / "unpacked")
    (folder,) = (tmp_path / "unpacked").iterdir()
    assert {f.name for f in (folder / "baselines").iterdir()} == {
        f.name for f in (source / "baselines").iterdir()
    }
    assert (folder / "setup.py").exists()


def test_installed_for_editing_the_methods_stay_where_they_are(source, tmp_path):
    names = ZipFile(built(source, "build_editable", tmp_path)).namelist()
    assert not [name for name in names if "baselines" in name]
    assert not (source / "autoloss" / "baselines").exists()


def test_every_method_is_found_and_built_from_any_folder(site, tmp_path):
    done = run(site, tmp_path, "-c", USE)
    assert done.returncode == 0, done.stdout
    assert int(done.stdout) == len(list((ROOT / "baselines").glob("[!_]*.py"))) + 1


def test_the_readmes_loop_and_an_example_run_from_any_folder(site, tmp_path):
    (loop,) = blocks((ROOT / "README.md").read_text(), "python")
    for words in (["-c", loop], [str(ROOT / "examples" / "plain_torch.py")]):
        done = run(site, tmp_path, *words)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("command", ["plan", "methods", "train ml100k deepfm ce", "new-loss mine"])
def test_a_command_outside_of_a_checkout_says_that_it_needs_one(site, tmp_path, command):
    done = run(site, tmp_path, "-m", "autoloss", *command.split())
    assert done.returncode == 2
    assert "is no checkout of the project" in done.stdout
    assert "To mend it: get a checkout" in done.stdout
    assert "Traceback" not in done.stdout
    assert not list(tmp_path.iterdir())


def test_in_a_checkout_an_installed_package_leads_to_its_own_code(site):
    done = run(site, ROOT, "-P", "-m", "autoloss", "plan")
    assert done.returncode == 2
    assert f"run `python -m autoloss` in {ROOT}" in done.stdout
