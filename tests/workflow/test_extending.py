"""The recipes of docs/extending.md, followed as they are written."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml

from autoloss.methods.discover import discover
from tests.tiny import ROOT
from tests.workflow.pages import blocks, commands_of, sections, write_files
from tests.workflow.project import Project

RECIPES = sections(ROOT / "docs" / "extending.md")
ABOUT = "A study about your method, and a claim on it"
OWN = ("", "A method", ABOUT)  # these have tests of their own
EXAMPLE = blocks(RECIPES["A method"], "python")[0]


def words_of(recipe):
    return [shlex.split(command) for command, _ in commands_of(RECIPES[recipe])]


def test_a_method_trains_nothing_else_and_a_study_may_be_about_it(copy):
    made = copy.autoloss(*words_of("A method")[0][1:])
    assert made.returncode == 0, made.stdout
    assert (copy.folder / "baselines" / "mine.py").read_text() == EXAMPLE
    write_files(RECIPES[ABOUT], copy.folder)
    laptop = copy.folder / "configs" / "scale" / "laptop.yaml"
    content = yaml.safe_load(laptop.read_text())
    content["study"]["methods"].append("mine")
    laptop.write_text(yaml.safe_dump(content))

    snakemake = ["snakemake", "--cores", "all"]
    assert words_of("A method")[1:] == [["make", "test"], [*snakemake, "table_2"]]
    done = copy.snakemake("table_2")
    assert done.returncode == 0, done.stdout
    assert re.findall(r": Training (\w+) on", done.stdout) == ["mine", "mine"]
    results = copy.folder / "results" / "laptop"
    assert (results / "tables" / "table_2.md").read_text().count("| Mine |") == 2

    (command,) = words_of(ABOUT)
    assert command[:3] == snakemake
    done = copy.snakemake(*command[3:])
    assert done.returncode == 0, done.stdout
    assert sorted(re.findall(r": Training (\w+) on", done.stdout)) == ["autoloss", "ce", "mine"]
    results = results.with_name("mine")
    comparison = pd.read_csv(results / "verdicts.csv").iloc[0]
    assert tuple(comparison[["claim", "ours", "family"]]) == ("mine_beats_ce", "mine", "own")
    verdicts = (results / "verdicts.md").read_text()
    assert "verdicts on our own claims" in verdicts
    assert "The paper's claims" not in verdicts
    assert set(pd.read_csv(results / "statistics" / "table_2.csv")["ours"]) == {"mine"}
    table = (results / "tables" / "table_2.md").read_text()
    assert "comparisons of Mine per metric" in table
    assert re.findall(r"^\| (\w+) \|", table, re.MULTILINE) == ["CE", "AutoLoss", "Mine"]


@pytest.mark.parametrize("recipe", [name for name in RECIPES if name not in OWN])
def test_what_a_recipe_adds_is_made(copy, recipe):
    """Its files are written, its commands given, and what their comments name is there."""
    lines = ["visitor,product,bought", *(f"v{k % 20},p{k % 7},{k % 3 % 2}" for k in range(400))]
    (copy.folder / "visits.csv").write_text("\n".join(lines) + "\n")
    write_files(RECIPES[recipe], copy.folder)
    for command, comment in commands_of(RECIPES[recipe]):
        program, *words = shlex.split(command)
        assert program in ("autoloss", "snakemake")
        done = copy.autoloss(*words) if program == "autoloss" else copy.snakemake(*words)
        assert done.returncode == 0, done.stdout
        assert not comment or (copy.folder / comment).exists()


def test_the_example_passes_the_contract(tmp_path):
    project = Project(tmp_path)
    shutil.copytree(ROOT / "tests", tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "baselines" / "mine.py").write_text(EXAMPLE)
    assert discover(project.folder)["mine"].info.tables == ("table_2",)
    command = [sys.executable, "-m", "pytest", "tests/contract", "-k", "mine"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 10
