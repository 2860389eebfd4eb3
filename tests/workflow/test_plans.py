"""A workflow makes what it was asked for, from what it was asked with, or says that it did not."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.workflow.project import Project

SMALL = {"methods": ["ce", "autoloss"], "datasets": ["ml100k-ctr"], "seeds": 1}
RAISES = '''"""A method with a fault."""

from __future__ import annotations

from autoloss.methods.fixed import FixedWeights
from autoloss.methods.info import Info
from baselines._helper import constant_of


class Faulty(FixedWeights):
    """Raises, or diverges, in its first step."""

    info = Info(
        name="faulty",
        label="Faulty",
        summary="raises",
        paper="none",
        weights="global",
        learns_on="nothing",
    )
    constant = {"ce": 1.0}

    def weigh(self, *given, **named):
        """As `constant_of` has it."""
        loss, weights = super().weigh(*given, **named)
        return constant_of(loss), weights
'''
RAISE = "def constant_of(loss):\n    raise ValueError('no such thing')\n"
DIVERGE = "def constant_of(loss):\n    return loss * float('nan')\n"
SOUND = "def constant_of(loss):\n    return loss\n"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project in which a small study has been disturbed while it ran."""
    made = Project(tmp_path_factory.mktemp("plans"))
    made.config(study=SMALL, training={"lr": 0.002})
    return made


def learning_rates(project, study="smoke"):
    records = (project.folder / "results" / study / "runs").glob("*/*/*/seed_0.json")
    return {json.loads(file.read_text())["config"]["training"]["lr"] for file in records}


def test_whatever_is_changed_while_a_study_runs_it_is_trained_as_planned(project):
    """Files and dry runs that say something else, at random moments."""
    config, draw = project.folder / "tiny.yaml", random.Random(time.time_ns())
    asked = yaml.safe_load(config.read_text())
    other = {**asked, "training": {**asked["training"], "lr": 0.05}}
    scale = project.folder / "configs" / "scale" / "smoke.yaml"
    before = scale.read_text()
    before_anything = project.snakemake("-n", "table_2", "--configfile", "tiny.yaml")
    assert before_anything.returncode == 0, before_anything.stdout
    assert not (project.folder / "results").exists()
    command = ["-m", "snakemake", "--cores", "2", "table_2", "--configfile", "tiny.yaml"]
    said = project.folder / "said.log"
    with said.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=project.folder,
            env=project.environment(),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    while not (project.folder / "results" / "smoke" / "config.json").exists():
        assert process.poll() is None
        time.sleep(0.05)
    for change in draw.sample(range(3), 3):
        time.sleep(draw.uniform(0, 1.5))
        match change:
            case 0:
                config.write_text(yaml.safe_dump(other))
            case 1:
                scale.write_text(before.replace("max_epochs: 1", "max_epochs: 1\n  lr: 0.05"))
            case _:
                (project.folder / "other.yaml").write_text(yaml.safe_dump(other))
                project.snakemake("-n", "table_2", "--configfile", "other.yaml")
    assert process.poll() is None, "it ended too early to be disturbed"
    process.wait()
    config.write_text(yaml.safe_dump(asked))
    scale.write_text(before)
    assert process.returncode == 0, said.read_text()
    assert learning_rates(project) == {0.002}
    again = project.snakemake("table_2", "--configfile", "tiny.yaml")
    assert "Nothing to be done" in again.stdout


def test_a_study_with_a_name_leaves_the_others_alone(project):
    first = project.folder / "results" / "smoke" / "tables" / "table_2.csv"
    before = first.read_bytes()
    named = project.config(study={**SMALL, "name": "Other_1", "methods": ["autoloss"]})
    runs = "results/Other_1/index/table_2.parquet"
    done = project.snakemake("figure_1", runs, "--configfile", named)
    assert done.returncode == 0, done.stdout
    assert first.read_bytes() == before
    assert learning_rates(project, "Other_1") == {0.001}
    assert (project.folder / "figures" / "Other_1" / "figure_1.pdf").exists()
    assert (project.folder / "logs" / "Other_1").is_dir()
    project.config(study=SMALL, training={"lr": 0.002})
    again = project.snakemake("table_2", "--configfile", "tiny.yaml")
    assert "Nothing to be done" in again.stdout


def test_under_its_name_a_study_keeps_its_runs_from_another_configuration(project):
    """By the workflow, and by hand; a dry run says so. Under a name of its own it is made."""
    smoke = project.folder / "results" / "smoke"
    before = {file: file.read_bytes() for file in smoke.rglob("*.json")}
    config = project.config(study=SMALL, training={"lr": 0.005})
    said = "training.lr is 0.002 there, here 0.005"
    planned = project.snakemake("-n", "table_2", "--configfile", config)
    assert (planned.returncode, said in planned.stdout) == (0, True)
    cell = ("ml100k-ctr", "deepfm", "ce")
    other = smoke.with_name("moved")
    for command in (
        project.snakemake("table_2", "--configfile", config),
        project.autoloss("train", *cell, "--config", config),
        project.autoloss("check", "--rerun", "--config", config),
        project.autoloss("merge", str(other), "--config", config),
    ):
        assert command.returncode != 0
        assert said in command.stdout
        assert "give this study a name of its own" in command.stdout
        assert "Traceback" not in command.stdout
    assert {file: file.read_bytes() for file in smoke.rglob("*.json")} == before
    named = project.config(study={**SMALL, "name": "fast"}, training={"lr": 0.005})
    made = project.autoloss("train", *cell, "--config", named)
    assert made.returncode == 0, made.stdout
    assert learning_rates(project, "fast") == {0.005}
    compared = project.autoloss("compare", "smoke", "fast")
    assert compared.returncode == 0, compared.stdout
    assert "training.lr: 0.002 | 0.005" in compared.stdout
    project.config(study=SMALL, training={"lr": 0.002})
    status = project.autoloss("status", "--study", "smoke", "--json")
    assert json.loads(status.stdout)["runs"]["stale"] == 0


def test_figure_1_shows_the_configuration_that_it_is_asked_for(project):
    """No run stands behind it: what it shows is the configuration's own."""
    config = project.config(study={**SMALL, "name": "Other_1"}, model={"hidden": [24]})
    planned = project.snakemake("-n", "figure_1", "--configfile", config)
    assert ": Drawing figure_1" in planned.stdout


def test_a_job_of_another_plan_is_refused(project):
    config = project.config(study=SMALL)
    wrong = [
        ["train", "ml100k-ctr", "deepfm", "ce"],
        ["search", "ml100k-ctr", "deepfm", "grid"],
        ["prepare", "ml100k-ctr"],
        ["analyse", "table_2"],
        *(["table", "table_2"], ["figure", "figure_1"], ["claims"], ["report"]),
    ]
    for command in wrong:
        done = project.autoloss(*command, "--config", config, "--key", "0" * 16)
        assert done.returncode == 2, command
        assert "not what snakemake planned" in done.stdout


def test_a_schedulers_job_without_its_plan_is_refused(project):
    """As a node would start it: it must not read the files that are there by then."""
    config = project.config(study=SMALL)
    done = project.snakemake("-n", "table_2", "--configfile", config, "--mode", "remote")
    assert done.returncode != 0
    assert "got no configuration from the workflow that started it" in done.stdout


@pytest.mark.parametrize("edited", ["datasets/ml100k-ctr", "sources/movielens-100k", "claims"])
def test_a_broken_description_ends_it_though_its_products_are_there(project, edited):
    config = project.config(study=SMALL, training={"lr": 0.002})
    file = project.folder / "configs" / f"{edited}.yaml"
    text = file.read_text()
    key = re.search(r"^(title|families|homepage):", text, re.MULTILINE)[1]
    file.write_text(text.replace(f"{key}:", f"{key}e:", 1))
    try:
        done = project.snakemake("table_2", "--configfile", config)
    finally:
        file.write_text(text)
    assert done.returncode != 0
    assert f"{edited}.yaml" in done.stdout
    assert f"did you mean '{key}'" in done.stdout
    assert "Nothing to be done" not in done.stdout


def test_products_of_which_snakemake_knows_nothing_are_not_taken_for_those_asked_for(project):
    config = project.config(study={**SMALL, "name": "unknown"})
    made = [Path("results/unknown/index/table_2.parquet"), Path("results/unknown/tables/a.csv")]
    for file in made:
        (project.folder / file).parent.mkdir(parents=True)
        (project.folder / file).touch()
    done = project.snakemake("table_2", "--configfile", config)
    assert done.returncode != 0
    mend = re.search(r"`(rm -r [^`]+)`", done.stdout)[1]
    assert mend.split()[2:] == [str(file.parent) for file in made]
    assert all((project.folder / file).exists() for file in made)


def test_data_sets_whose_names_have_capitals_and_underscores_are_prepared_and_trained(project):
    folder = project.folder / "configs" / "datasets"
    spec = yaml.safe_load((folder / "ml100k-ctr.yaml").read_text())
    (folder / "KuaiRec_v2.yaml").write_text(yaml.safe_dump({**spec, "name": "KuaiRec_v2"}))
    pair = {"dataset": "KuaiRec_v2", "model": "deepfm"}
    names = {"datasets": ["KuaiRec_v2"], "component_datasets": ["KuaiRec_v2"], "source": pair}
    study = {**SMALL, **names, "targets": [pair], "methods": ["ce", "autoloss"], "max_rows": 300}
    config = project.config(study={**study, "name": "kuairec"})
    runs = "results/kuairec/index/table_2.parquet"
    done = project.snakemake(runs, "--configfile", config)
    assert done.returncode == 0, done.stdout
    assert set(pd.read_parquet(project.folder / runs)["dataset"]) == {"KuaiRec_v2"}
    prepared = project.folder / "data" / "prepared" / "KuaiRec_v2.300"
    assert (prepared / "split_0" / "manifest.json").exists()


def test_a_method_that_raises_is_named_last_and_one_that_diverges_is_a_result(project):
    """Its fault is in a helper: mended there, its cells are trained again, and no others."""
    (project.folder / "baselines" / "faulty.py").write_text(RAISES)
    helper = project.folder / "baselines" / "_helper.py"
    study = {**SMALL, "name": "faults", "methods": ["faulty", "autoloss"], "fail_fast": False}
    config = project.config(study=study)

    def made(text, target="results/faults/no_crash/table_2"):
        helper.write_text(text)
        done = project.snakemake(target, "--configfile", config)
        record = project.folder / "results/faults/runs/ml100k-ctr/deepfm/faulty/seed_0.json"
        trained = sorted(re.findall(r": Training (\w+) on", done.stdout))
        return done, json.loads(record.read_text())["status"], trained

    raised, status, trained = made(RAISE, "table_2")
    assert (raised.returncode, status, trained) == (1, "failed", ["autoloss", "faulty"])
    said = "ml100k-ctr/deepfm/faulty (1 of 1 runs): ValueError: no such thing"
    assert said in "\n".join(raised.stdout.splitlines()[-8:])
    table = (project.folder / "results" / "faults" / "tables" / "table_2.md").read_text()
    assert re.search(r"\| Faulty \|.*failed", table)
    again, status, trained = made(RAISE)
    assert (again.returncode, status, trained) == (1, "failed", [])
    diverged, status, trained = made(DIVERGE)
    assert (diverged.returncode, status, trained) == (0, "failed", ["faulty"])
    sound, status, trained = made(SOUND)
    assert (sound.returncode, status, trained) == (0, "ok", ["faulty"])


def test_a_study_that_fails_fast_stops_at_the_first_error_of_a_methods_code(project):
    """As the smoke scale does: no other job is started, and nothing is recorded."""
    (project.folder / "baselines" / "faulty.py").write_text(RAISES)
    (project.folder / "baselines" / "_helper.py").write_text(RAISE)
    study = {**SMALL, "name": "fast", "methods": ["faulty", "autoloss"]}
    config = project.config(study={**study, "seeds": 6, "seeds_per_job": 1})
    done = project.snakemake("table_2", "--cores", "1", "--configfile", config)
    assert done.returncode == 1
    assert "baselines/_helper.py:2: ValueError in ml100k-ctr/deepfm/faulty" in done.stdout
    assert "set study.fail_fast: false to record it and go on" in done.stdout
    assert len(re.findall(r": Training faulty on", done.stdout)) == 1
    assert not list((project.folder / "results" / "fast" / "runs").rglob("faulty/seed_*.json"))


def test_a_study_of_our_method_alone_is_planned_to_its_report(project):
    """No figure of gains, and a note of that; tests of odd studies make what is planned here."""
    target = {"dataset": "ml100k-ctr", "model": "nfm"}
    study = {**SMALL, "name": "alone", "methods": ["autoloss"], "frequencies": [7]}
    config = project.config(study={**study, "targets": [target], "seeds_per_job": 1})
    done = project.snakemake("-n", "--configfile", config)
    assert done.returncode == 0, done.stdout
    assert "Figure gains is left out" in done.stdout
    assert "Writing results/alone/report.html" in done.stdout
    assert "Drawing gains" not in done.stdout
