"""The real workflow, end to end, on miniature data."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from autoloss.records.store import seal
from autoloss.report.catalogue import figures

RESULTS, PICTURES = Path("results/laptop"), Path("figures/laptop")


def test_makes_every_table_in_every_format(finished):
    tables = finished.folder / RESULTS / "tables"
    made = ("table_1", "table_2", "table_3", "published", "controls")
    names = {f"{name}.{suffix}" for name in made for suffix in ("csv", "md", "tex")}
    assert {path.name for path in tables.iterdir()} == names
    table = pd.read_csv(tables / "table_2.csv")
    assert set(table["method"]) == {"ce", "grid", "autoloss"}
    assert set(table["dataset"]) == {"ml100k", "ml100k-ctr"}
    assert (table["n"] == 2).all()
    assert table["mean"].notna().all()
    verdicts = pd.read_csv(tables.parent / "statistics" / "table_2.csv")["verdict"]
    assert verdicts.str.startswith("cannot be significant with 2 seeds").all()
    assert set(pd.read_csv(tables / "table_3.csv")["method"]) == {"al1", "autoloss"}
    controls = pd.read_csv(tables / "controls.csv")
    assert set(controls["method"]) == {"ce", "autoloss"}
    assert set(controls["dataset"]) == {"ml100k-ctr"}
    summary = finished.autoloss("summary")
    assert "tables/table_2.tex" in summary.stdout
    assert "| AutoLoss |" in summary.stdout


def test_makes_every_figure_in_every_format_with_its_numbers_and_runs(finished):
    pictures = finished.folder / PICTURES
    drawn = [name for name, figure in figures().items() if figure.in_all]
    names = {f"{name}.{suffix}" for name in drawn for suffix in ("pdf", "png", "csv", "json")}
    assert {path.name for path in pictures.iterdir()} == names
    frozen = pd.read_csv(pictures / "figure_3.csv").query("method == 'autoloss_frozen'")
    assert set(zip(frozen["dataset"], frozen["model"], strict=True)) == {
        ("ml100k-ctr", "nfm"),
        ("ml100k-ctr", "autoint"),
        ("adult", "deepfm"),
    }
    assert (frozen["n"] == 2).all()


def test_the_command_that_a_figure_names_makes_it(finished):
    """All figures of a study name the same options: their targets are planned at once."""
    files = sorted((finished.folder / PICTURES).glob("*.json"))
    words = [json.loads(file.read_text())["command"].split() for file in files]
    ((program, cores, number, *options),) = {(*w[:3], *w[4:]) for w in words}
    assert (program, cores, number) == ("snakemake", "--cores", "all")
    assert [w[3] for w in words] == [file.stem for file in files]
    done = finished.snakemake("-n", *[w[3] for w in words], *options)
    assert done.returncode == 0, done.stdout
    assert "Nothing to be done" in done.stdout


def test_a_figure_plans_what_it_needs_and_no_more(project):
    done = project.snakemake("-n", "figure_3", "--configfile", project.config())
    trained = [line for line in done.stdout.splitlines() if ": Training " in line]
    assert {re.search(r"Training (.+), seeds", line)[1] for line in trained} == {
        "ce on ml100k-ctr with nfm",
        "ce on ml100k-ctr with autoint",
        "ce on adult with deepfm",
        "autoloss on ml100k-ctr with deepfm",
        "autoloss_frozen on ml100k-ctr with nfm",
        "autoloss_frozen on ml100k-ctr with autoint",
        "autoloss_frozen on adult with deepfm",
    }
    assert "Searching" not in done.stdout


def test_redrawing_gives_the_same_bytes_and_trains_nothing(copy):
    planned = copy.snakemake("-n", "-R", "make_figure", "--", "figures")
    assert planned.returncode == 0, planned.stdout
    assert ": Training " not in planned.stdout
    pictures = copy.folder / PICTURES
    before = {path.name: path.read_bytes() for path in pictures.iterdir()}
    names = sorted({name.partition(".")[0] for name in before})
    assert all(f": Drawing {name}" in planned.stdout for name in names)
    for file in pictures.iterdir():
        file.unlink()
    for name in names:
        done = copy.autoloss("figure", name)
        assert done.returncode == 0, (name, done.stdout)
    assert {path.name: path.read_bytes() for path in pictures.iterdir()} == before


def test_snakemakes_own_report_has_every_figure(finished, tmp_path):
    file = tmp_path / "snakemake.html"
    done = finished.snakemake("--report", str(file), "--", "figures")
    assert done.returncode == 0, done.stdout
    drawn = [name for name, figure in figures().items() if figure.in_all]
    assert all(f"{name}.png" in file.read_text() for name in drawn)


def test_a_search_is_made_once_per_cell_and_its_cost_is_audited(finished):
    results = finished.folder / RESULTS
    searches = list(results.glob("runs/*/*/*/search.json"))
    assert {path.parent.name for path in searches} == {"grid"}
    assert len(searches) == 2
    budget = pd.read_csv(results / "budget" / "table_2.csv")
    assert (budget["search_epochs"] <= budget["search_epochs_allowed"]).all()
    spent = budget.set_index("method")["search_epochs"]
    assert (spent["grid"] == 5).all()
    assert (spent[["ce", "autoloss"]] == 0).all()


def test_a_method_that_had_more_budget_than_it_may_stops_the_build(copy):
    record = next((copy.folder / RESULTS).glob("runs/*/*/autoloss/seed_1.json"))
    content = json.loads(record.read_text())
    del content["checksum"]  # a worker that really spent more would seal its record
    content["budget"]["search_epochs"] = 1
    record.write_text(seal(json.dumps(content, indent=1) + "\n"))
    done = copy.snakemake("-R", "analyse", "--", "table_2")
    assert done.returncode == 1
    assert "autoloss: trained 1 epochs in its search, 0 are allowed" in done.stdout
    assert ": Collecting" in done.stdout
    assert ": Writing" not in done.stdout
    assert not (copy.folder / RESULTS / "index" / "table_2.parquet").exists()


def test_every_method_everywhere_and_the_tuned_protocol_can_be_planned(finished):
    full = finished.snakemake("-n", "table_2_full")
    trained = [line for line in full.stdout.splitlines() if ": Training " in line]
    assert len(trained) == 1
    assert "Training al1 on ml100k with" in trained[0]
    tuned = finished.snakemake("-n", "tuned")
    searched = [line for line in tuned.stdout.splitlines() if ": Searching for " in line]
    assert len(searched) == 6
    refused = finished.snakemake("-n", "tuned", "--config", "protocol=published")
    assert refused.returncode == 1
    assert "leave `protocol` out" in refused.stdout


def test_the_tuned_protocol_searches_for_each_cell_and_for_a_frozen_one_after_its_source(project):
    target = {"dataset": "ml100k-ctr", "model": "nfm"}
    study = {"methods": ["ce", "autoloss"], "targets": [target]}
    config = project.config(study=study, tuning={"trials": 3})
    done = project.snakemake("tuned", "--configfile", config)
    assert done.returncode == 0, done.stdout
    results = project.folder / "results" / "smoke-tuned"
    assert not (project.folder / "results" / "smoke").exists()
    assert (results / "tables" / "table_2.csv").exists()
    verdicts = json.loads((results / "verdicts.json").read_text())
    assert verdicts["protocol"] == "tuned"
    assert {*verdicts["groups"]} == {"table_2"}
    config = project.config(study=study, protocol="tuned", tuning={"trials": 3})
    done = project.snakemake("figure_3", "--configfile", config)
    assert done.returncode == 0, done.stdout
    runs = project.folder / "results" / "smoke-tuned" / "runs" / "ml100k-ctr"
    searched = {f"{f.parts[-3]}/{f.parts[-2]}": f for f in runs.glob("*/*/search.json")}
    assert {*searched} == {f"{model}/ce" for model in ("deepfm", "nfm")} | {
        "deepfm/autoloss",
        "nfm/autoloss_frozen",
    }
    frozen = json.loads(searched["nfm/autoloss_frozen"].read_text())
    source = json.loads((runs / "deepfm" / "autoloss" / "seed_0.json").read_text())
    assert frozen["controller"] == source["run_id"]
    status = json.loads(project.autoloss("status", "--json", "--config", config).stdout)
    group = next(group for group in status["groups"] if group["group"] == "figure_3")
    assert (group["searches"], group["searched"], group["complete"]) == (2, 2, 2)
    planned = project.snakemake("-n", "figure_3", "--configfile", config)
    assert "Nothing to be done" in planned.stdout


def test_every_number_of_table_2_is_that_of_its_records(finished):
    results = finished.folder / RESULTS
    for row in pd.read_csv(results / "tables" / "table_2.csv").itertuples():
        folder = results / "runs" / row.dataset / row.model / row.method
        records = [json.loads(file.read_text()) for file in folder.glob("seed_*.json")]
        values = [record["metrics"]["test"][row.metric] for record in records]
        assert row.mean == pytest.approx(sum(values) / len(values), rel=1e-12)


def test_a_second_run_has_nothing_to_do_even_where_the_folder_was_copied_to(copy):
    done = copy.snakemake()
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout


def test_alone_on_one_core_and_in_other_shards_a_run_has_the_same_bits(finished, project):
    config = project.config(study={"seeds_per_job": 1})
    runs = Path("runs/ml100k-ctr/deepfm")
    cells = [runs / method for method in ("autoloss", "grid")]
    shards = [f"results/smoke/{cell}/seeds_1-1.json" for cell in cells]
    made = project.snakemake(*shards, "--cores", "1", "--configfile", config)
    assert made.returncode == 0, made.stdout
    for cell in cells:
        here = project.folder / "results" / "smoke" / cell
        there = finished.folder / RESULTS / cell
        alone, together = (json.loads((p / "seed_1.json").read_text()) for p in (here, there))
        assert alone["digest"] == together["digest"]
        assert not (here / "seed_0.json").exists()


def test_an_edited_record_is_found_and_made_anew_to_the_same_bits(copy):
    record = next((copy.folder / RESULTS).glob("runs/*/*/al1/seed_1.json"))
    before = json.loads(record.read_text())["digest"]
    sound = copy.autoloss("check")
    assert sound.returncode == 0, sound.stdout
    record.write_text(record.read_text().replace('"auc": 0.', '"auc": 0.9', 1))
    edited, refused = copy.autoloss("check"), copy.autoloss("analyse", "table_3")
    removed = copy.autoloss("check", "--rerun")
    assert edited.returncode == 1
    assert re.search(r"/al1 seed 1: .*checksum is off", edited.stdout)
    assert (refused.returncode, "checksum is off" in refused.stdout) == (2, True)
    assert removed.returncode == 1
    done = copy.snakemake("table_3")
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(": Training ") == 1
    assert json.loads(record.read_text())["digest"] == before
    assert copy.autoloss("check").returncode == 0


def test_another_machines_runs_are_taken_and_not_trained_again(finished, project):
    project.make_default()
    data = ("ml100k", "ml100k-ctr", "adult")
    assert (
        project.snakemake(*(f"data/prepared/{d}/split_0/manifest.json" for d in data)).returncode
        == 0
    )
    assert ": Training " in project.snakemake("-n").stdout
    merged = project.autoloss("merge", str(finished.folder / RESULTS))
    assert merged.returncode == 0, merged.stdout
    assert " 0 differ, 0 refused" in merged.stdout
    planned = project.snakemake("-n").stdout
    assert ": Collecting the runs" in planned
    assert ": Training " not in planned
    assert ": Searching " not in planned


def test_changing_an_option_reruns_its_method_and_what_takes_its_controllers(copy):
    """f = 3 was a variant in Figure 4, and f = 7 the usual one: they change places."""
    done = copy.snakemake("-n", "--configfile", copy.varied(methods={"autoloss": {"every": 3}}))
    trained = re.findall(r": Training (\w+) on", done.stdout)
    assert sorted(trained) == ["autoloss"] * 2 + ["autoloss_every_7"] + ["autoloss_frozen"] * 3


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"training": {"batchsize": 64}}, "did you mean 'batch_size'?"),
        ({"methods": {"autoloss": {"evry": 3}}}, "did you mean 'every'?"),
        ({"training": {"lr": 0}}, "training.lr"),
    ],
)
def test_a_wrong_key_ends_before_the_dag_with_one_message(project, keys, message):
    done = project.snakemake("--configfile", project.config(**keys))
    assert done.returncode != 0
    assert message in done.stdout
    assert "Traceback" not in done.stdout
    assert not (project.folder / "results").exists()


def test_an_edited_description_prepares_its_data_anew_by_its_date_alone(project):
    made, by_date = "data/prepared/adult/split_0/manifest.json", ("--rerun-triggers", "mtime")
    config = ("--configfile", project.config())
    assert project.snakemake(made, *config).returncode == 0
    assert "Nothing to be done" in project.snakemake(made, "-n", *by_date, *config).stdout
    file = project.folder / "configs" / "datasets" / "adult.yaml"
    file.write_text(file.read_text().replace("seed: 42", "seed: 43"))
    assert ": Preparing adult" in project.snakemake(made, "-n", *by_date, *config).stdout


def test_a_wrong_byte_in_a_raw_file_ends_with_one_message(project):
    file = project.raw / "ml-100k.inter"
    content = bytearray(file.read_bytes())
    content[200] ^= 1
    file.write_bytes(bytes(content))
    done = project.snakemake("table_1", "--configfile", project.config())
    assert done.returncode != 0
    assert "ml-100k.inter" in done.stdout
    assert re.search(r"expected \d+ bytes, sha256 \w+; found \d+ bytes, sha256", done.stdout)
    assert "--force" in done.stdout
    assert "Traceback" not in done.stdout
    assert not list((project.folder / "data").glob("prepared/ml100k*/*.npy"))
    assert not (project.folder / "results" / "smoke" / "tables").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3\t4\t5", "expected 4 columns, found 3"),
        ("3\t4\t6\t881250949", "expected a rating of 1 to 5, found 6"),
        ("3\t999\t4\t881250949", "expected a film of ml-100k.item, found '999'"),
    ],
)
def test_a_malformed_row_is_named_by_its_line(project, line, message):
    lines = (project.raw / "ml-100k.inter").read_text().splitlines()
    lines[6] = line
    project.write_raw("\n".join(lines) + "\n")
    done = project.autoloss("prepare", "ml100k", "--config", project.config())
    assert done.returncode == 2
    assert "ml-100k.inter, line 7" in done.stdout
    assert message in done.stdout
    assert len(done.stdout.strip().splitlines()) == 2
    assert not [p for p in (project.folder / "data").glob("prepared/**/*") if p.is_file()]


def test_killed_while_training_it_resumes_to_the_same_bits(copy):
    """SIGKILL after the first checkpoint; the record equals that of an undisturbed run."""
    longer = {"max_epochs": 30, "patience": 30, "checkpoint_seconds": 0}
    config = copy.varied(study={"name": "longer"}, training=longer)
    command = ["train", "ml100k", "deepfm", "autoloss", "--seeds", "0-0", "--config", config]
    cell = copy.folder / "results" / "longer" / "runs" / "ml100k" / "deepfm" / "autoloss"
    record = cell / "seed_0.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "autoloss", *command],
        cwd=copy.folder,
        env=copy.environment(),
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(cell.glob(".state/*.pt")) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(cell.glob(".state/*.pt"))
    assert not record.exists()
    assert copy.autoloss(*command).returncode == 0
    resumed = json.loads(record.read_text())
    assert not list(cell.glob(".state/*.pt"))
    record.unlink()
    assert copy.autoloss(*command).returncode == 0
    assert json.loads(record.read_text())["digest"] == resumed["digest"]
