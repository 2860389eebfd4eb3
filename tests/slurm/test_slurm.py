"""The workflow on a real Slurm: as the profile is typed, one job cancelled, the same bits."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from autoloss.study.study import Study
from tests.slurm import cluster
from tests.workflow.project import Project, digests, process_of, tables

WHY_NOT = cluster.missing()
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(WHY_NOT is not None, reason=f"no Slurm: {WHY_NOT}"),
]
# The profile as it is, but for what a 2-core machine without accounting has to change.
SLURM = (
    *("--executor", "slurm", "--workflow-profile", "configs/profiles/slurm"),
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "3"),
)
CANCELLED = "ml100k-ctr deepfm autoloss"
EPOCHS = 30
METHODS = ["ce", "al1", "grid", "slf", "slf_frozen", "autoloss", "autoloss_frozen"]


@pytest.fixture
def slurm():
    """A running Slurm; its folder's name is short, because sockets' paths must be."""
    folder = Path(f"/tmp/slurm-{os.getpid()}")
    folder.mkdir(mode=0o755)
    with cluster.running(folder):
        yield folder


def test_a_cancelled_job_goes_on_and_every_run_has_the_bits_of_a_local_one(slurm, tmp_path):
    for name in ("local", "remote"):
        (tmp_path / name).mkdir()
    local, remote = Project(tmp_path / "local"), Project(tmp_path / "remote")
    # A method of each kind, with runs long enough to be cancelled in the middle.
    training = {"max_epochs": EPOCHS, "patience": EPOCHS}
    config = local.config(training=training, study={"methods": METHODS})
    shutil.copy(local.folder / config, remote.folder)
    made = local.snakemake("--configfile", config)
    assert made.returncode == 0, made.stdout

    command = [sys.executable, "-m", "snakemake", *SLURM, "--configfile", config]
    output = remote.folder / "snakemake.log"
    with output.open("w") as log:
        workflow = subprocess.Popen(
            command,
            cwd=remote.folder,
            # Unbuffered, so that a killed job's log has every epoch that it trained.
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "PYTHONPATH": f"{remote.folder}:{os.environ.get('PYTHONPATH', '')}",
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        cancel_in_the_middle(remote.folder)
        assert workflow.wait(timeout=1500) == 0, output.read_text()
    finally:
        workflow.terminate()
        workflow.wait()
    log = output.read_text()
    assert "CANCELLED" in log
    assert "Trying to restart job" in log
    trained = next(remote.folder.glob("logs/smoke/train/ml100k-ctr/deepfm/autoloss_0-1.log"))
    # Snakemake has removed the first attempt's log. A minute was not over, so the checkpoint from
    # which the second one went on was written when the first one was asked to stop.
    epochs = [int(k) for k in re.findall(r"seed 0: epoch (\d+)", trained.read_text())]
    assert epochs == list(range(epochs[0], EPOCHS + 1))
    assert epochs[0] > 4
    assert digests(remote.folder) == digests(local.folder)
    study = Study.load(yaml.safe_load((local.folder / config).read_text()), local.folder)
    cells = {cell for group in study.reported_groups() for cell in study.cells(group)}
    assert len(digests(local.folder)) == study.config.study.seeds * len(cells)
    assert tables(remote.folder) == tables(local.folder)
    names = ("table_1", "table_2", "table_3", "published")
    assert set(tables(local.folder)) == {f"{name}.csv" for name in names}


def cancel_in_the_middle(folder: Path) -> None:
    """`scancel` the job that trains `CANCELLED`, once it is in its fifth epoch."""
    log = folder / "logs/smoke/train" / f"{CANCELLED.replace(' ', '/')}_0-1.log"
    for _ in range(9000):
        found = process_of(f"autoloss train {CANCELLED}", folder)
        if found and log.exists() and "seed 0: epoch 4:" in log.read_text():
            process, environment = found
            os.kill(process, signal.SIGSTOP)  # till Slurm continues it, to terminate it
            subprocess.run(["scancel", environment["SLURM_JOB_ID"]], check=True)
            return
        time.sleep(0.1)
    pytest.fail(f"{CANCELLED} did not start")
