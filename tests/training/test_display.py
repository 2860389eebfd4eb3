"""Within an epoch a run says how far it is: on a terminal, in a log and beside its lock."""

from __future__ import annotations

import io
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from autoloss.lock import HEARTBEAT, Holder, sole_holder
from autoloss.methods.load import load
from autoloss.status.page import page
from autoloss.status.scan import scan
from autoloss.study.cell import Cell
from autoloss.training.display import Display, reporting
from autoloss.training.loop import Trainer
from autoloss.training.pace import Beat, Pace
from tests.studied import tiny_study, working_in
from tests.tiny import tiny_config

STUDY = tiny_study()
BEAT = Beat("training", 3, 120, 5000, 24_100.0, 150.0)


@dataclass
class Clock:
    """Tells the time that a test gives it."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.floats(0.001, 200), min_size=1, max_size=60))
@settings(max_examples=30, deadline=None)
def test_a_log_is_never_silent_for_more_than_a_minute_and_a_step(steps):
    clock, stream = Clock(), io.StringIO()
    log = Display(Console(file=stream, soft_wrap=True), clock)
    times = [0.0]

    def listen(beat: Beat) -> None:
        before = stream.tell()
        log.beat("cell seed 0", beat)
        times.extend([clock.now] * (stream.tell() > before))

    pace = Pace(listen, clock)
    pace.begin("training", 3, 0, len(steps), 1024)
    for step, seconds in enumerate(steps, 1):
        clock.now += seconds
        pace.at(step)
    gaps = [b - a for a, b in zip(times, [*times[1:], clock.now], strict=True)]
    assert all(gap <= 60 + max(steps) for gap in gaps)
    assert all(gap >= 50 for gap in gaps[:-1])  # and not chatty
    assert all(": in epoch 3: " in line for line in stream.getvalue().splitlines())


def test_a_beat_says_step_rate_and_time_left():
    clock, beats = Clock(), []
    pace = Pace(beats.append, clock)
    pace.begin("training", 3, 100, 400, 50)  # resumed at step 100
    for step in range(101, 201):
        clock.now += 0.25
        pace.at(step)
    assert len(beats) == 25  # one a second
    assert replace(beats[-1], step=197) == Beat("training", 3, 197, 400, 200.0, 50.75)
    assert str(BEAT) == ("in epoch 3: training step 120 of 5,000, 24,100 examples/s, 2 min left")


def test_nobody_listens_and_nothing_is_computed():
    clock = Clock()
    pace = Pace(None, clock)
    pace.begin("training", 1, 0, 1, 1)
    pace.at(1)  # a division by no time would be infinite


def test_listening_changes_no_bit_and_evaluation_is_told_too(tiny, monkeypatch):
    monkeypatch.setattr("autoloss.training.pace.EVERY", 0.0)
    beats: list[Beat] = []
    arguments = (tiny_config(), tiny["binary"], "deepfm", load("autoloss"), 0)
    runs = [Trainer(*arguments), Trainer(*arguments, listener=beats.append)]
    assert runs[0].run() == runs[1].run()
    assert runs[0].weights_digest() == runs[1].weights_digest()
    told = [(beat.what, beat.epoch, beat.step) for beat in beats]
    assert told[:6] == [*(("training", 1, k) for k in range(1, 6)), ("validation", 1, 1)]
    assert told[-1] == ("test", 2, 1)


def test_a_terminal_gets_a_bar_with_rate_and_time_left():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=200)
    with reporting(console) as report:
        report.beat("a [bold] cell", BEAT)
        report.bar.refresh()
    shown = stream.getvalue()
    assert "24,100 examples/s, 2 min left" in shown
    assert "a [bold] cell: epoch 3" in shown
    assert "2%" in shown


def test_a_holder_writes_a_sign_of_life_every_ten_seconds(tmp_path):
    clock = Clock()
    held = Holder(tmp_path / "x.lock.owner", clock)
    seen = []
    for second in range(31):
        clock.now = float(second)
        held.note(epoch=second)
        seen.append(json.loads(held.owner.read_text())["epoch"])
    assert seen == [second - second % int(HEARTBEAT) for second in range(31)]
    assert json.loads(held.owner.read_text())["pid"] == os.getpid()


def lock_of(cell: Cell, name: str) -> Path:
    return STUDY.cell_folder(cell) / ".state" / f"{name}.lock"


@pytest.mark.parametrize("method", ["ce", "a_method_of_no_table"])
def test_a_run_by_hand_is_seen_by_its_lock_and_gone_with_it(method, tmp_path):
    cell = Cell("adult", "deepfm", method)
    with working_in(tmp_path):
        with sole_holder(lock_of(cell, "seed_1"), print) as held:
            held.note(epoch=3, said=BEAT.position)
            found = scan(STUDY, now=time.time() + 9999)  # its lock is held, however silent it is
            (job,) = found["running"]
            assert (job["cell"], job["seed"], job["epoch"]) == (str(cell), 1, 3)
            assert "step 120 of 5,000" in job["said"]
            assert job["since"]
            console = Console(file=io.StringIO(), width=250)
            console.print(page(found))
            assert "seed 1, epoch 3" in console.file.getvalue()
            assert "nothing is running" not in console.file.getvalue()
        assert not scan(STUDY)["running"]


def test_what_is_left_of_a_killed_process_is_not_alive(tmp_path):
    cell = Cell("adult", "deepfm", "ce")
    with working_in(tmp_path):
        lock = lock_of(cell, "seed_1")
        lock.parent.mkdir(parents=True)
        Holder(lock.with_name(f"{lock.name}.owner"))
        lock.touch()
        found = scan(STUDY)
        assert not found["running"]
        assert [job["seed"] for job in found["interrupted"]] == [1]


@pytest.mark.parametrize(("age", "alive"), [(20.0, True), (2000.0, False)])
def test_a_process_on_another_host_lives_by_its_heartbeat(age, alive, tmp_path):
    cell = Cell("ml100k-ctr", "deepfm", "bohb")
    with working_in(tmp_path):
        owner = lock_of(cell, "search-0123-4567").with_suffix(".lock.owner")
        owner.parent.mkdir(parents=True)
        owner.write_text(json.dumps({"host": "another", "pid": 1, "said": "trial 3"}))
        now = owner.stat().st_mtime + age
        running = scan(STUDY, now=now)["running"]
        assert [(job["seed"], job["said"]) for job in running] == [(None, "trial 3")] * alive
