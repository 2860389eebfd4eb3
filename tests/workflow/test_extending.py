"""The recipes of docs/extending.md, followed as they are written."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter

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
CONTRACT = ROOT / "docs" / "methods-contract.md"


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
    assert words_of("A method")[1:] == [["autoloss", "test", "mine"], [*snakemake, "table_2"]]
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
    assert "Of 1 verdict on our own claims" in verdicts
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


@pytest.mark.parametrize("recipe", ["A loss", "A model"])
def test_the_study_that_a_new_file_is_told_of_can_be_planned(copy, recipe):
    _, *words = words_of(recipe)[0]
    said = copy.autoloss(*words).stdout.splitlines()
    assert f"`pytest tests/contract -k {words[1]}`" in said[1]
    _, cores, everything, *rest = shlex.split(said[2])
    assert (cores, everything) == ("--cores", "all")
    done = copy.snakemake(*rest, "tuning={trials: 20}", "-n")  # grid's, for a fifth candidate
    assert done.returncode == 0, done.stdout
    assert f"results/{words[1]}/tables/table_2.md" in done.stdout


DICE = '''"""Random weights, drawn anew for each example: nothing is learned."""

from __future__ import annotations

from torch import Tensor

from autoloss.methods.contract import Method
from autoloss.methods.examples import Examples
from autoloss.methods.info import Info
from autoloss.ops.random import gumbel
from autoloss.seeds import Draw


class Dice(Method):
    """A softmax of Gumbel noise."""

    info = Info(
        name="dice",
        label="Dice",
        summary="random weights",
        paper="Lin et al., Reasonable Effectiveness of Random Weighting, TMLR 2022",
        weights="per example",
        learns_on="nothing",
    )

    def weights(self, examples: Examples, draw: Draw) -> Tensor:
        """Weights `[B, n]`, the same whenever asked for at one step."""
        like = examples.logits.new_empty(len(examples.labels), len(self.candidates))
        return gumbel(draw.seed(0), like).softmax(dim=-1)
'''


TEMPLATES = ("A method", "A loss", "A model")
KINDS = ("dice", "by_user", "brier_alone")  # of methods, beside the template's


@pytest.fixture(scope="module")
def passed(tmp_path_factory):
    """How many of the contract's tests each passes: templates as commands write them, and `KINDS`.

    These are a method without parameters, the page's example, and one of a loss beside the
    candidates.
    """
    project = Project(tmp_path_factory.mktemp("contract") / "project")
    folder, names = project.folder, list(KINDS)
    shutil.copytree(ROOT / "tests", folder / "tests")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for recipe in TEMPLATES:
        program, command, name = words_of(recipe)[0]
        made = project.autoloss(command, name)
        assert (program, made.returncode) == ("autoloss", 0), made.stdout
        file = made.stdout.splitlines()[0]
        assert f"This writes `{file}`" in RECIPES[recipe]
        assert (folder / file).read_text() == blocks(RECIPES[recipe], "python")[0]
        names.append(name)
    (folder / "baselines" / "dice.py").write_text(DICE)
    write_files(CONTRACT.read_text(), folder)
    alone = (folder / "baselines" / "ce.py").read_text().replace('name="ce"', 'name="brier_alone"')
    alone = alone.replace('label="CE"', 'label="Brier"').replace('{"ce": 1.0}', '{"brier": 1.0}')
    (folder / "baselines" / "brier_alone.py").write_text(alone)
    assert discover(folder)["mine"].info.tables == ("table_2",)
    command = [sys.executable, "-m", "pytest", "tests/contract", "-vv", "-n", "0"]
    command += ["-k", " or ".join(names)]  # as the pages choose
    command += [word for name in names for word in ("--method", name)]  # as `autoloss test` does
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    each = re.findall(r"\[(.+)\] PASSED", done.stdout)
    return Counter(name for parts in each for name in parts.split("-"))


@pytest.mark.parametrize("recipe", TEMPLATES)
def test_a_template_is_shown_as_it_is_and_passes_the_contract(passed, recipe):
    assert passed[words_of(recipe)[0][-1]] >= 10


@pytest.mark.parametrize("method", KINDS)
def test_methods_of_every_kind_pass_the_contract(passed, method):
    assert passed[method] >= 10
