"""The status of a study is told from its files alone, whatever state they are in."""

from __future__ import annotations

import json
import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from autoloss.cli import app
from autoloss.lock import sole_holder
from autoloss.plan.training import cells_of
from autoloss.records.store import read_search, write_record
from autoloss.status.scan import STATES, scan
from autoloss.study.cell import Cell
from autoloss.training.stop import StoppedError
from tests.studied import tiny_study, working_in
from tests.tiny import ROOT

CELL = Cell("adult", "deepfm", "ce")
STUDY = tiny_study()
RUNS = len({*cells_of(STUDY), *STUDY.cells("controls")}) * 2
STATE = STUDY.cell_folder(CELL) / ".state"
SAID = "epoch 3: train loss 0.2249, validation AUC 0.7757, Log loss 0.5799"


@pytest.fixture
def made(studied, tmp_path):
    """A study of which everything has been made, to change."""
    folder = tmp_path / "study"
    shutil.copytree(studied, folder)
    with working_in(folder):
        yield folder


@contextmanager
def running():
    """The second run of the cell is at work, in another process's eyes."""
    with sole_holder(STATE / "seed_1.lock", print, resumes=True) as held:
        held.about["last"] = SAID
        held.note(epoch=4, said="training step 3 of 5")
        yield


def unfinish() -> None:
    """The second run of the cell, and its list, are not there yet."""
    STUDY.shard_file(CELL, 0, 1).unlink()
    STUDY.record_file(CELL, 1).unlink()


def test_of_a_finished_study_everything_is_done(made):
    found = scan(STUDY)
    assert found["runs"]["done"] == sum(found["runs"].values()) > 0
    assert found["hours_left"] == 0
    assert all(group["complete"] == group["cells"] for group in found["groups"])
    assert all(group["searched"] == group["searches"] for group in found["groups"])
    assert {"table_2", "table_3", "figure_3", "figure_4"} <= {g["group"] for g in found["groups"]}


def test_of_a_study_that_was_not_begun_everything_is_missing(tmp_path):
    with working_in(tmp_path):
        found = scan(STUDY)
    assert found["runs"]["missing"] == sum(found["runs"].values()) == len(cells_of(STUDY)) * 2
    assert found["hours_left"] is None


def test_a_run_that_holds_its_lock_runs_and_shows_its_metrics(made):
    unfinish()
    with running():
        found = scan(STUDY)
    assert (found["runs"]["running"], found["runs"]["missing"]) == (1, 0)
    (job,) = found["running"]
    assert (job["cell"], job["seed"], job["epoch"]) == (str(CELL), 1, 4)
    assert job["last"].endswith("validation AUC 0.7757, Log loss 0.5799")
    assert found["hours_left"] > 0


def killed() -> None:
    """What a process leaves that had no time to clear up."""
    with running():
        left = {file.name: file.read_bytes() for file in STATE.glob("seed_1.lock*")}
    for name, content in left.items():
        (STATE / name).write_bytes(content)


def stopped() -> None:
    """What a process leaves that was asked to stop."""
    with pytest.raises(StoppedError), running():
        raise StoppedError


def full() -> None:
    """What a process leaves whose disk was full."""
    with pytest.raises(OSError, match="full"), running():
        raise OSError("full")


@pytest.mark.parametrize("ended", [killed, stopped, full])
def test_a_run_that_was_killed_or_stopped_is_interrupted_and_not_merely_missing(made, ended):
    unfinish()
    ended()
    found = scan(STUDY)
    assert not found["running"]
    assert [(job["cell"], job["seed"]) for job in found["interrupted"]] == [(str(CELL), 1)]
    assert (found["runs"]["interrupted"], found["hours_left"]) == (1, None)
    assert found["runs"]["missing"] == 0


def test_only_the_present_search_of_a_cell_is_interrupted(made):
    cell = Cell("ml100k-ctr", "deepfm", "bohb")
    file = STUDY.search_file(cell)
    content = json.loads(file.read_text())
    file.unlink()
    present = f"search-{content['key']}-{content['data_hash'][:16]}"
    for stem in (f"search-{'0' * 16}-{'1' * 16}", f"search-{'2' * 16}-{'1' * 16}", present):
        lock = file.parent / ".state" / f"{stem}.lock"
        with pytest.raises(StoppedError), sole_holder(lock, print, resumes=True):
            raise StoppedError
    assert [(job["cell"], job["seed"]) for job in scan(STUDY)["interrupted"]] == [(str(cell), None)]


def test_a_run_that_failed_is_shown_with_its_reason(made):
    file = STUDY.record_file(CELL, 0)
    record = json.loads(file.read_text())
    record["status"] = "failed"
    record["failure"] = {"kind": "ValueError", "message": "no\nmore", "traceback": ""}
    file.write_text(json.dumps(record))
    STUDY.shard_file(CELL, 0, 1).unlink()
    found = scan(STUDY)
    (failed,) = found["failed"]
    assert (failed["seed"], failed["why"]) == (0, "ValueError: no")
    assert found["runs"]["failed"] == 1


def test_runs_of_another_configuration_are_stale(made):
    file = STUDY.record_file(CELL, 1)
    file.write_text(file.read_text().replace(json.loads(file.read_text())["run_id"], "0" * 16))
    STUDY.shard_file(CELL, 0, 1).unlink()
    assert scan(STUDY)["runs"]["stale"] == 1
    search = STUDY.search_file(Cell("ml100k-ctr", "deepfm", "bohb"))
    write_record(read_search(search).model_copy(update={"key": "another"}), search)
    found = scan(STUDY)
    assert found["runs"]["stale"] == 1  # what it chooses anew may be the same
    assert any(group["searched"] < group["searches"] for group in found["groups"])


@pytest.mark.parametrize("content", [b"", b'{"half', b"[1, 2]", b"\xff\xfe", b'{"status": 7}'])
def test_damaged_files_are_counted_and_stop_nothing(made, content):
    STUDY.record_file(CELL, 0).write_bytes(content)
    STUDY.shard_file(CELL, 0, 1).write_bytes(content)
    search = STUDY.search_file(Cell("ml100k-ctr", "deepfm", "bohb"))
    search.write_bytes(content)
    (STUDY.prepared_folder("ml100k", 0) / "manifest.json").write_bytes(content)
    found = scan(STUDY)
    assert found["runs"]["damaged"] == 1
    assert len(found["damaged"]) == 3
    assert sum(found["runs"].values()) == RUNS


@given(st.binary(max_size=40), st.integers(0, 10_000))
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_owner_file_and_no_record_can_stop_it(made, noise, cut):
    file = STUDY.record_file(CELL, 0)
    whole = file.read_bytes()
    STUDY.shard_file(CELL, 0, 1).unlink(missing_ok=True)
    file.write_bytes(whole[:cut] + noise)
    STATE.mkdir(exist_ok=True)
    (STATE / "seed_1.lock.owner").write_bytes(noise)
    found = scan(STUDY)
    file.write_bytes(whole)
    assert sum(found["runs"].values()) == RUNS


def test_the_rate_and_the_time_left_follow_from_the_last_hour(made):
    now = time.time() + 10
    files = [
        STUDY.record_file(cell, seed)
        for cell in cells_of(STUDY)
        if cell.dataset == "ml100k"
        for seed in range(2)
    ]
    for file in Path("results/smoke/runs").rglob("*.json"):
        os.utime(file, (now - 9000,) * 2)
    for k, file in enumerate(files):
        os.utime(file, (now - 10 * (len(files) - k),) * 2)  # one every ten seconds
    unfinish()
    with running():
        found = scan(STUDY, now=now)
    assert found["runs_per_hour"] == pytest.approx(360 * (len(files) - 1) / len(files))
    assert 0 < found["hours_left"] < 60 / 3600


def test_the_page_and_the_json_say_the_same(made):
    unfinish()
    (made / "configs").symlink_to(ROOT / "configs")
    STUDY.config_file.parent.mkdir(parents=True, exist_ok=True)
    STUDY.config_file.write_text(STUDY.config.model_dump_json())
    with running():
        text = CliRunner().invoke(app, ["status", "--scale", "smoke", "--json"])
        page = CliRunner().invoke(app, ["status", "--scale", "smoke"], env={"COLUMNS": "200"})
    found = json.loads(text.stdout)
    assert set(found["runs"]) == set(STATES)
    total = sum(found["runs"].values())
    assert f"{found['runs']['done']} of {total} runs done" in page.stdout
    assert "seed 1, epoch 4" in page.stdout
    assert "AUC 0.7757" in page.stdout


def test_watching_looks_again_until_it_is_stopped(made, monkeypatch):
    (made / "configs").symlink_to(ROOT / "configs")
    pauses = []

    def pause(seconds):
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("autoloss.status.command.time.sleep", pause)
    done = CliRunner().invoke(app, ["status", "--scale", "smoke", "--watch", "5"])
    assert (done.exit_code, pauses) == (0, [5, 5, 5])
    assert "runs done" in done.stdout
