"""Every command in the README and in docs/ is run as it is written, on miniature data."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from argparse import ArgumentParser

import pytest
from typer.testing import CliRunner

from autoloss.cli import app
from tests.tiny import ROOT
from tests.workflow.pages import PAGES, commands_of, write_files
from tests.workflow.project import preloaded

PROGRAMS = "autoloss|snakemake|make|python|pytest|podman|pip|conda|kubectl|source|apt-get"

# Run for real, in this order. All targets together are run in conftest.py.
HERE = [
    *("snakemake --cores all table_2", "snakemake --unlock"),
    'autoloss figure gains --methods grid,autoloss --labels "autoloss=Ours,grid=Grid search" '
    "--style paper.yaml --width 85mm --format pdf",
    "autoloss table table_2 --methods ce,grid,autoloss --labels autoloss=Ours --format tex",
    *("autoloss status", "autoloss check", "autoloss methods", "autoloss --help"),
    "autoloss train ml100k-ctr deepfm autoloss",
    "autoloss methods --markdown",
    "autoloss artifact",
    "autoloss fidelity",
    "autoloss when-it-pays",
    "autoloss check --rerun",
    "autoloss methods autoloss --config wide.yaml",
    "autoloss status --config wide.yaml",
    *(
        f"autoloss data synth {name} --rows 200000 --out data/raw/{source}"
        for name, source in (
            ("criteo", "criteo"),
            ("ml-20m", "movielens-20m"),
            ("avazu", "avazu-x4"),
        )
    ),
    "autoloss new-baseline mine",
    "python examples/plain_torch.py",
]
# These ask the data sets' descriptions how many rows there are: those of full size.
PLAN = [
    *("autoloss plan", "autoloss plan regimes"),
    "autoloss plan --scale paper --cores 32 --gpus 4 --jobs-per-gpu 2",
]
RUN = [*HERE, *PLAN]
# Named without arguments, which every use of its own has: their `--help` is there.
NAMED = [
    *("merge", "compare", "train", "search", "data import", "fetch", "prepare", "analyse"),
    *("figure", "table"),
    *("new-dataset", "new-loss", "new-model"),  # test_extending.py runs them
    *("verify", "reference"),  # these compare with, and replace, the committed run: full size
]
# Not run here, and why.
NEEDS = {
    "make reproduce": "the study at full size",
    "make reproduce PIP_ARGS='--extra-index-url https://download.pytorch.org/whl/cpu'": "a network",
    "make smoke": "the environment and the smoke scale",
    "make setup": "the environment",
    "make lock": "a network",
    "make format": "the linters",
    "make test": "the test suite itself",
    "make test-slurm": "a Slurm",
    "make test-kubernetes": "a plugin",
    "make benchmark": "a quarter of an hour and its peers' environments",
    "conda env create -f environment.yml": "conda",
    "source .venv/bin/activate": "the environment",
    "pip install -c requirements.lock -e '.[cluster]'": "a network",
    "apt-get install slurm-wlm munge": "a network, root",
    "pytest -m gpu": "the test suite itself, a GPU",
    "autoloss test mine": "a method of the reader's; test_extending.py runs its tests",
    **{
        f"pytest tests/contract -k {name}": "a file of the reader's; test_extending.py runs it"
        for name in ("mine", "brier", "dcn")
    },
    "pip install .": "the environment",
    "python examples/torchfm_deepfm.py": "torchfm; test_loops.py runs it on a stand-in",
    "python examples/lightning_module.py": "lightning; test_loops.py runs it on a stand-in",
    "python benchmarks/seeds_together.py": "a GPU",
    "python benchmarks/nested_search.py": "a quarter of an hour",
    "python benchmarks/same_bits.py main": "a quarter of an hour, git",
    "python benchmarks/soak.py --kills 100 --seed 5": "hours",
    "autoloss reference --config configs/protocol/tuned.yaml": "the tuned study at full size",
    "autoloss status --watch 5": "no end of its own",
    "autoloss fetch criteo --accept-licence": "a network, terms accepted",
    "autoloss data import criteo-x4 Criteo_x4.zip": "the full data",
    "autoloss data synth criteo --rows 1000000 --out data/raw/criteo": "as with fewer rows",
    "autoloss data synth criteo-region --rows 45840617 --out data/raw/criteo": "45 GB",
    **dict.fromkeys(
        (
            "autoloss prepare criteo --config benchmarks/full_size.yaml",
            "autoloss prepare criteo-flipped --config benchmarks/full_size.yaml",
            "python benchmarks/full_size.py",
        ),
        "these rows",
    ),
    "autoloss merge FOLDER": "a folder of the reader's",
    "autoloss methods NAME": "a method of the reader's choice",
    "autoloss test NAME": "a method of the reader's choice",
    "autoloss check --config results/paper/config.json": "a paper-scale study",
    "AUTOLOSS_ACCEPT_LICENCE=criteo,avazu-x4 snakemake …": "a command of the reader's",
    "snakemake --workflow-profile configs/profiles/gpu "
    "--configfile configs/scale/paper.yaml": "GPUs",
    "snakemake --workflow-profile configs/profiles/gpu "
    "--configfile configs/profiles/paper_in_stacks.yaml": "GPUs",
    "snakemake --executor slurm --workflow-profile configs/profiles/slurm "
    "--configfile configs/scale/paper.yaml": "a Slurm",
}
ELSEWHERE = ("podman", "kubectl", "$EDITOR")  # a container engine, a cluster, an editor


def commands():
    """Each command of the pages, once: lines of shell blocks, and code within sentences."""
    listed = []
    for page in PAGES:
        text = page.read_text()
        if page.name != "extending.md":  # its recipes are followed by test_extending.py
            listed += [command for command, _ in commands_of(text)]
        prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        inline = re.findall(rf"`((?:[A-Z_]+=\S+ )?(?:{PROGRAMS})\s[^`]+)`", prose)
        listed += [" ".join(command.split()) for command in inline]
    return list(dict.fromkeys(listed))


def planned():
    """Commands that would train for long here: they are run with `-n`."""
    known = {*RUN, *NEEDS}
    return [c for c in commands() if c.startswith("snakemake ") and c not in known]


def plans():
    """`planned()` as few dry runs: commands that plan one configuration are one, of all targets."""
    parser = ArgumentParser()
    parser.add_argument("-n", action="store_true")
    parser.add_argument("--cores")
    parser.add_argument("--retries")
    parser.add_argument("--configfile")
    parser.add_argument("--config")
    parser.add_argument("targets", nargs="*", default=["all"])
    together: dict[tuple[str | bool | None, ...], list[str]] = {}
    for command in planned():
        words = parser.parse_args(shlex.split(command)[1:])
        key = words.configfile, words.config, "tuned" in words.targets  # a study of its own
        together.setdefault(key, []).extend(words.targets)
    for (file, keys, _), targets in together.items():
        options = [*(["--configfile", file] if file else []), *(["--config", keys] if keys else [])]
        targets = list(dict.fromkeys(targets))
        yield shlex.join(["snakemake", "-n", "--retries", "3", *options, "--", *targets])


@pytest.fixture(scope="module")
def project(finished, tmp_path_factory):
    """The finished project but for Table 2, and commands as an environment has them."""
    project = finished.copied_to(tmp_path_factory.mktemp("docs") / "project")
    shutil.copytree(ROOT / "results" / "reference", project.folder / "results" / "reference")
    for file in (project.folder / "results" / "laptop" / "tables").glob("table_2.*"):
        file.unlink()
    shutil.copytree(ROOT / "examples", project.folder / "examples")
    write_files((ROOT / "docs" / "running.md").read_text(), project.folder)
    commands = {name: f'"{preloaded()}" -m {name}' for name in ("autoloss", "snakemake")}
    for name, command in {**commands, "python": f'"{sys.executable}"'}.items():
        script = project.folder / "bin" / name
        script.parent.mkdir(exist_ok=True)
        script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        script.chmod(0o755)
    return project


def run(project, command):
    """A command typed in the project's folder; its output, where it ends well."""
    path = f"{project.folder / 'bin'}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=project.folder,
        env={**project.environment(), "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}"
    assert "Traceback" not in done.stdout, command
    return done.stdout


def test_every_command_of_the_pages_is_run_or_says_why_not():
    known = {*RUN, *NEEDS, *planned(), *(f"autoloss {name}" for name in NAMED)}
    unknown = [c for c in commands() if c not in known and c.split()[0] not in ELSEWHERE]
    assert not unknown, "run them in this test, or say why they cannot be"
    assert {*RUN, *NEEDS} <= set(commands()), "no page has these any more"


def test_what_cannot_be_run_here_names_what_exists():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in [*NEEDS, *commands()]:
        if command.startswith("make "):
            assert command.split()[1] in targets
        for file in re.findall(r"(?:configs|benchmarks)/[\w/.-]+", command):
            assert (ROOT / file).exists(), command
    assert {"environment.yml", "requirements.lock"} <= {path.name for path in ROOT.iterdir()}


@pytest.mark.parametrize("name", NAMED)
def test_a_command_that_is_named_exists(name):
    assert CliRunner().invoke(app, [*name.split(), "--help"]).exit_code == 0


def test_commands_run_as_they_are_written(project):
    for command in HERE:
        run(project, command)
    shutil.copytree(
        ROOT / "configs/datasets", project.folder / "configs/datasets", dirs_exist_ok=True
    )
    for command in PLAN:
        run(project, command)


def test_long_ones_can_be_planned(project):
    for command in plans():
        said = run(project, command)
        assert "dry-run" in said or "Nothing to be done" in said, command
