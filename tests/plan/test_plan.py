"""The plan: its jobs are Snakemake's, its numbers follow from what it assumes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from autoloss.arguments import study_of
from autoloss.cli import app
from autoloss.errors import ConfigError
from autoloss.plan import estimate
from autoloss.plan.actual import compare
from autoloss.plan.costs import COSTS, choose_device, costs_of, law_of, load_costs, load_devices
from autoloss.plan.estimate import make_plan
from autoloss.plan.measure import measure, random_data
from autoloss.plan.page import show_actual, wide
from autoloss.plan.sizes import data_size
from autoloss.plan.training import Resources, Training, cells_of
from autoloss.report.catalogue import tables
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from tests.studied import tiny_study, working_in
from tests.tiny import ROOT, project_methods, tiny_splits

DEVICES = load_devices(ROOT)
MEASURED = load_costs(ROOT / COSTS)


def study(**overrides):
    return Study.load(overrides, ROOT)


def resources(cores=2, gpus=0, jobs_per_gpu=1, device=None):
    return Resources(cores, gpus, jobs_per_gpu, choose_device(DEVICES, device, gpus))


def training(of, use=None, epochs=None):
    return Training(of, DEVICES, MEASURED, use or resources(), epochs)


def plan(of, use=None, epochs=None):
    return make_plan(training(of, use, epochs))


def test_it_has_the_jobs_of_a_dry_run_of_snakemake(tmp_path):
    """Rule by rule, of a study that nothing has been made of."""
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--dry-run", "--quiet", "rules"]
    config = ["--configfile", "configs/scale/smoke.yaml"]
    for part in ("Snakefile", "configs", "autoloss", "baselines", "environment.yml"):
        (tmp_path / part).symlink_to(ROOT / part)
    done = subprocess.run(
        [*command, *config], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    stats = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE))
    found = plan(study(scale="smoke"))
    assert found["jobs"] == int(stats["total"])
    by_stage = {stage["stage"]: stage["jobs"] for stage in found["stages"]}
    assert by_stage["train"] == int(stats["train"]) + int(stats["train_learned"])
    assert {key: by_stage[key] for key in ("fetch", "prepare", "search")} == {
        key: int(stats[key]) for key in ("fetch", "prepare", "search")
    }


def test_a_table_more_is_a_job_more(monkeypatch):
    before, known = plan(study(scale="smoke")), tables()
    more = {**known, "mine": known["table_1"], "aside": replace(known["table_1"], in_all=False)}
    monkeypatch.setattr(estimate, "tables", lambda: more)
    assert plan(study(scale="smoke"))["jobs"] == before["jobs"] + 1


def test_the_laptop_study_takes_at_most_35_minutes():
    of = study(study={"methods": project_methods()})
    found = plan(of)
    assert 15 < found["wall_hours"].guess * 60 < 35
    assert found["wall_hours"].low <= found["wall_hours"].guess <= found["wall_hours"].high
    assert found["runs"] == len(cells_of(of)) * 12
    # Not among the cells that were measured: its cost on two classes stands for that on five.
    assert set(found["borrowed"]) == {f"ml100k/{m}/autoloss_ce" for m in ("deepfm", "ipnn")}


def test_wall_time_lies_between_its_bounds_and_falls_with_cores():
    walls = []
    for cores in (1, 4, 64):
        found = plan(study(), resources(cores))
        assert found["wall_hours"].guess >= found["critical_path_hours"].guess
        assert found["wall_hours"].guess >= found["core_hours"].guess / cores
        walls.append(found["wall_hours"].guess)
    assert walls == sorted(walls, reverse=True)


def test_the_paper_scale_is_planned_before_there_are_data():
    found = plan(study(scale="paper"), resources(32, gpus=4, jobs_per_gpu=2))
    criteo = next(size for size in found["data"] if size["data_set"] == "criteo")
    assert (criteo["rows"], criteo["fields"]) == (45_840_617, 39)
    assert criteo["ids"] == pytest.approx(1_086_810, rel=0.001)
    assert found["gpu_hours"].guess > 0
    assert not found["measured"]
    assert any("not measured" in line for line in found["assumptions"])
    assert not any("other sizes" in line for line in found["assumptions"])
    assert found["download_bytes"] > 6e9
    assert found["disk"]["prepared_arrays"] > 45_840_617 * 40 * 4


def epochs_of(found, name):
    return next(size["epochs"] for size in found["data"] if size["data_set"] == name)


def test_it_says_that_it_runs_no_code_and_what_does():
    (line,) = (line for line in plan(study(scale="smoke"))["assumptions"] if "Code" in line)
    assert "nothing is run; `autoloss test NAME`" in line


def test_epochs_are_an_assumption_that_can_be_changed():
    few, many = (plan(study(scale="paper"), epochs=epochs) for epochs in ((2, 2, 2), (3, 8, 19)))
    assert epochs_of(few, "criteo").guess == 2
    assert epochs_of(many, "criteo").high == 19
    assert many["examples"].guess > few["examples"].guess
    held = plan(study(scale="smoke"), epochs=(9, 9, 9))
    assert epochs_of(held, "adult").high == 1  # the study's own limit


def test_examples_are_runs_times_epochs_times_rows():
    found = plan(study(scale="smoke", study={"methods": ["ce", "autoloss"]}, protocol="published"))
    cells = cells_of(study(scale="smoke", study={"methods": ["ce", "autoloss"]}))
    assert found["searches"] == 0
    assert found["runs"] == 2 * len(cells)
    assert found["examples"].guess == pytest.approx(2 * len(cells) * 8000, rel=0.05)


def test_a_search_that_spends_its_budget_is_charged_all_of_it():
    costs = training(study(scale="paper")).costs
    bohb, grid = (costs[Cell("criteo", "deepfm", method)] for method in ("bohb", "grid"))
    assert bohb.search_epochs[1] == 11 * 20
    assert grid.search_epochs[1] == 11 * grid.run_epochs[1]


def test_every_cell_is_searched_in_the_tuned_protocol_a_frozen_one_after_its_source():
    of = study(scale="smoke", protocol="tuned", study={"methods": ["ce", "autoloss"]})
    found, costs = plan(of), training(of).costs
    assert found["searches"] == len(costs) == len(cells_of(of))
    frozen = Cell("adult", "deepfm", "autoloss_frozen")
    chain = [costs[cell] for cell in (of.controller_of(frozen), frozen)]
    alone = sum(cost.search_seconds[1] + cost.job_seconds(2)[1] for cost in chain)
    assert found["critical_path_hours"].guess * 3600 > alone


def test_a_cell_that_was_not_measured_takes_the_nearest_and_says_so():
    of, size = study(), data_size(study(), "ml100k-ctr")
    _, borrowed = law_of(of, MEASURED, Cell("ml100k-ctr", "deepfm", "slf"), size)
    assert not borrowed
    wide = replace(size, name="mine", field_sizes=size.field_sizes * 2)
    _, borrowed = law_of(of, MEASURED, Cell("mine", "deepfm", "slf"), wide)
    assert "data of" in borrowed
    less = MEASURED.model_dump()
    del less["laws"]["ml100k-ctr"]["nfm"]["slf_frozen"]
    known, cell = type(MEASURED).model_validate(less), Cell("ml100k-ctr", "nfm", "slf_frozen")
    law, borrowed = law_of(of, known, cell, size)
    assert "method slf_frozen elsewhere" in borrowed
    _, borrowed = law_of(of, MEASURED, Cell("ml100k-ctr", "deepfm", "melu_published"), size)
    assert borrowed.startswith("method melu ")  # on which it is based
    assert law.step(512) > MEASURED.laws["ml100k-ctr"]["nfm"]["ce"].step(512)


def test_a_hundred_thousand_jobs_can_be_planned():
    large = study(study={"seeds": 1500, "seeds_per_job": 1, "first_seed": 2000})
    found = plan(large, resources(64))
    assert found["jobs"] > 97_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--device", "gpuu", "--gpus", "1"], "did you mean 'gpu'"),
        (["--device", "gpu"], "give --gpus"),
        (["--epochs", "many"], "give one number"),
        (["--scale", "laptop", "--config", "configs/scale/smoke.yaml"], "leave out one"),
    ],
)
def test_a_wrong_option_says_how_to_mend_it(arguments, message):
    with working_in(ROOT):
        done = CliRunner().invoke(app, ["plan", *arguments])
    assert isinstance(done.exception, ConfigError)
    assert message in str(done.exception)


def test_a_claim_about_a_method_that_is_not_there_is_refused(monkeypatch, tmp_path):
    text = (ROOT / "configs" / "claims.yaml").read_text()
    (tmp_path / "claims.yaml").write_text(text.replace("others: [slf]", "others: [slff]", 1))
    monkeypatch.setattr("autoloss.claims.schema.FILE", tmp_path / "claims.yaml")
    with working_in(ROOT):
        done = CliRunner().invoke(app, ["plan", "--scale", "smoke"])
    assert isinstance(done.exception, ConfigError)
    assert "did you mean 'slf'" in str(done.exception)


def test_the_page_and_the_json_say_the_same():
    with working_in(ROOT):
        page = CliRunner().invoke(app, ["plan", "--scale", "smoke", "--cores", "2"])
        text = CliRunner().invoke(app, ["plan", "--scale", "smoke", "--cores", "2", "--json"])
    found = json.loads(text.stdout)["plan"]
    assert page.exit_code == 0
    assert re.search(rf"^jobs +{found['jobs']} *$", page.stdout, re.MULTILINE)
    assert "Assumptions" in page.stdout


def test_prepared_data_are_taken_as_they_are(tmp_path):
    of = study()
    with working_in(tmp_path):
        assert data_size(of, "adult").known == "described, in part"
        tiny_splits(of, "adult", 2)
        size = data_size(of, "adult")
        assert (size.known, size.field_sizes) == ("prepared", (12, 9, 4))
        assert size.splits["train"] == 300
        (of.prepared_folder("adult", of.splits[0]) / "manifest.json").write_text('{"half')
        assert data_size(of, "adult").known == "described, in part"


def test_runs_that_there_are_are_set_against_the_plan(studied):
    of = tiny_study()
    with working_in(studied):
        found = compare(training(of))
    assert found["runs"] == len(cells_of(of)) * 2
    assert found["damaged"] == 0
    assert 0 < found["peak_memory_gb"] < 5
    methods = {row["method"]: row for row in found["methods"]}
    searches = methods["bohb, search"]["runs"]
    assert searches == sum(map(of.searches, cells_of(of)))
    assert sum(row["runs"] * row["seconds"] for row in found["methods"]) == pytest.approx(
        found["actual_hours"] * 3600
    )
    assert 1 <= methods["ce"]["epochs"] <= 2
    assert methods["ce"]["seconds"] > 0


def test_a_search_that_the_study_does_not_make_is_not_compared(studied, tmp_path):
    of, cell = tiny_study(), Cell("adult", "deepfm", "ce")
    shutil.copytree(studied, tmp_path / "study")
    with working_in(tmp_path / "study"):
        of.search_file(cell).write_text("{}")  # of another protocol, say
        found = compare(training(of))
    assert found["damaged"] == 0
    assert "ce, search" not in {row["method"] for row in found["methods"]}


def test_the_page_shows_what_runs_took_and_which_records_are_damaged(studied, tmp_path):
    folder = tmp_path / "study"
    shutil.copytree(studied, folder)
    (folder / "configs").symlink_to(ROOT / "configs")
    of = tiny_study()
    (folder / "config.json").write_text(of.config.model_dump_json())
    with working_in(folder):
        of.record_file(Cell("adult", "deepfm", "ce"), 0).write_text('{"half')
        done = CliRunner().invoke(app, ["plan", "--config", "config.json"])
    assert done.exit_code == 0
    assert f"against {len(cells_of(of)) * 2 - 1} runs" in done.stdout
    assert re.search(r"^autoloss_ce +\d+ +2\.0 +2\.0 ", done.stdout, re.MULTILINE)
    assert "1 records could not be read" in done.stdout


def test_what_was_hardly_planned_has_no_factor(capsys):
    row = {"method": "ce", "runs": 1, "epochs": 1.0, "planned_epochs": 1.0, "seconds": 90.0}
    of = {"runs": 1, "damaged": 0, "peak_memory_gb": 1.0, "planned_memory_gb": 1.0}
    for planned, factor in ((0.7, None), (45.0, "2.00")):
        rows = [row | {"planned_seconds": planned}]
        hours = {"planned_hours": planned / 3600, "actual_hours": 90 / 3600, "methods": rows}
        show_actual(of | hours, wide(Console(soft_wrap=True)))
        shown = capsys.readouterr().out
        assert re.findall(r"a factor of ([\d.]+)", shown) == [factor] * (factor is not None)
        assert re.findall(r"^ce .* (\d+\.\d\d)$", shown, re.M) == [factor] * (factor is not None)


def test_measuring_makes_costs_that_later_plans_take(tmp_path):
    of = tiny_study()
    cells = [Cell("adult", "deepfm", m) for m in ("ce", "bohb", "autoloss", "autoloss_frozen")]
    with working_in(tmp_path):
        assert costs_of(of) == MEASURED
        file = measure(of, lambda line: None, cells)
        found = costs_of(of)
        assert found == load_costs(file)
    laws = found.laws["adult"]["deepfm"]
    assert set(laws) == {cell.method for cell in cells}
    assert laws["autoloss"].step(512) > 0
    assert all(law.evaluated_us > 0 for law in laws.values())


def test_random_data_are_within_their_fields():
    size = data_size(study(), "ml100k")
    data = random_data(size, {"train": 50, "validation": 20, "test": 10})
    assert (data.ids.max(axis=0) < size.field_sizes).all()
    assert set(data.labels) == set(range(5))


def test_a_file_laid_over_a_scale_is_planned_as_snakemake_reads_it():
    assert study_of(ROOT / "configs" / "scale" / "paper.yaml", root=ROOT).name == "paper"
    assert study_of(None, "smoke", ROOT).name == "smoke"
