"""Where and as whom a command is run: another folder, another project, odd paths and terminals."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.tiny import ROOT
from tests.workflow.project import Project

SCRIPT = "from autoloss.__main__ import main; main()"  # what pip writes into an environment's bin/
# Commands in one interpreter, whose start takes longest, and how each ends.
EACH = """
import sys
from autoloss.cli import main

for words in (["methods"], ["status"], ["train", "ml100k", "deepfm", "é→ξ"]):
    sys.argv[1:] = words
    try:
        main()
    except SystemExit as end:
        print("ended with", end.code)
"""
NOBODY = 54321  # no name, no home
SYSTEM = Path("/usr/bin/python3.11")  # can be read by anybody
ODD = """it's a "copy" #1 of $HOME [x] é; &"""


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The start of a command as an activated environment has it: its code is not the folder's."""
    script = tmp_path_factory.mktemp("bin") / "command"
    script.write_text(SCRIPT)
    return [sys.executable, str(script)]


def run(command, folder, code=ROOT, **environment):
    """What a command in `folder` with the code at `code` says, and its status."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**kept, "PYTHONPATH": str(code), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    text = done.stdout.decode(errors="replace")
    assert "Traceback" not in text, text
    return done.returncode, text


def files(folder):
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts}


def test_outside_the_project_nothing_is_done_but_to_say_so(tmp_path, installed):
    snakemake = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "-n"]
    commands = (["plan"], ["status"], ["fetch", "adult"], ["new-baseline", "zzz"])
    for command in (snakemake, *([*installed, *c] for c in commands)):
        status, text = run(command, tmp_path)
        assert status != 0
        assert f"run this in the project's folder: `cd {ROOT}`" in text
    assert not files(tmp_path)
    status, text = run([*installed, "plan"], ROOT / "docs")
    assert (status, "is below the project's folder" in text) == (2, True)
    assert run([*installed, "plan", "--help"], tmp_path)[0] == 0


def test_a_command_works_on_the_code_of_its_folder_or_not_at_all(
    project, installed, tmp_path_factory
):
    other = Project(tmp_path_factory.mktemp("other"))
    before = files(other.folder)
    command = ["new-baseline", "zzz"]
    status, text = run([*installed, *command], project.folder, other.folder)
    assert status == 2
    assert "run `python -m autoloss` in" in text
    assert not (project.folder / "baselines" / "zzz.py").exists()
    assert run([sys.executable, "-m", "autoloss", *command], project.folder, other.folder)[0] == 0
    assert (project.folder / "baselines" / "zzz.py").exists()
    assert files(other.folder) == before


def test_a_project_and_an_interpreter_below_an_odd_path_work(tmp_path):
    folder = tmp_path / ODD
    folder.mkdir()
    config = ("--configfile", Project(folder).config())
    (folder / ".venv").symlink_to(sys.prefix)
    snakemake = [str(folder / ".venv/bin/python"), "-m", "snakemake", "--cores", "1"]
    made = "data/prepared/adult/split_0/manifest.json"
    for more in ([], ["-n"]):
        status, text = run([*snakemake, made, *more, *config], folder, folder)
        assert status == 0, text
    assert (folder / made).exists()
    assert "Nothing to be done" in text


def test_braces_which_snakemake_takes_for_wildcards_are_refused(tmp_path):
    (tmp_path / "a{b}").mkdir()
    project = Project(tmp_path / "a{b}")
    done = project.snakemake("-n", "table_1")
    assert done.returncode != 0
    assert "rename the folder" in done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "koi8-r", "ascii"])
def test_what_a_terminal_has_no_characters_for_is_replaced(encoding):
    status, text = run([sys.executable, "-c", EACH], ROOT, PYTHONIOENCODING=encoding)
    assert status == 0
    assert re.findall(r"ended with (\d)", text) == ["0", "0", "2"]
    assert "Error: " in text


@pytest.mark.skipif(
    os.getuid() != 0 or not SYSTEM.exists() or not shutil.which("setpriv"),
    reason="needs root, setpriv and a Python that another user can read",
)
class TestNobody:
    """A user without name and home, in a folder that only its owner writes."""

    AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    PACKAGES = Path(pytest.__file__).parents[1]

    def run(self, folder, *command, **environment):
        path = f"{folder}:{self.PACKAGES}"
        variables = {"PATH": os.environ["PATH"], "PYTHONPATH": path, **environment}
        done = subprocess.run(
            ["env", "-i", *(f"{k}={v}" for k, v in variables.items()), *self.AS_NOBODY, *command],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stdout, done.stdout
        return done

    @pytest.fixture
    def closed(self):
        """A project; not below pytest's own folder, which every start of pytest closes."""
        if subprocess.run([*self.AS_NOBODY, "test", "-r", self.PACKAGES], check=False).returncode:
            pytest.skip("the packages are in a folder that only its owner reads")
        with tempfile.TemporaryDirectory() as base:
            Path(base).chmod(0o755)
            folder = Project(Path(base) / "closed").folder
            shutil.copytree(ROOT / "configs", folder / "configs", dirs_exist_ok=True)
            yield folder

    def test_what_only_looks_needs_neither_writing_nor_a_home(self, closed):
        before = files(closed)
        for command in ("plan", "status", "methods"):
            done = self.run(closed, str(SYSTEM), "-m", "autoloss", command)
            assert done.returncode == 0, done.stdout
        assert files(closed) == before

    def test_a_dry_run_where_snakemake_cannot_keep_its_notes_says_so(self, closed):
        place = closed.with_name("home")
        place.mkdir()
        place.chmod(0o777)
        home = {"HOME": str(place), "LOGNAME": "nobody"}
        done = self.run(closed, str(SYSTEM), "-m", "snakemake", "-n", "table_1", **home)
        assert done.returncode != 0
        assert "work in a copy of the project" in done.stdout
