"""The Kubernetes profile as it is typed, on a stand-in for a cluster; jobs by the API's schema."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.tiny import ROOT
from tests.workflow.project import Project, digests, process_of, tables

PROFILE = ROOT / "configs" / "profiles" / "kubernetes"
NEEDED = ("snakemake_executor_plugin_cluster_generic", "kubernetes_validate")
MISSING = [name for name in NEEDED if find_spec(name) is None]
pytestmark = [
    pytest.mark.kubernetes,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
]
VERSIONS = ["1.27", "1.30", "1.33"]  # of the API
PREEMPTED = "ml100k-ctr deepfm autoloss"
EPOCHS = 30


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifest_of_a_study_is_valid(version):
    from kubernetes_validate import validate

    found = list(yaml.safe_load_all((PROFILE / "study.yaml").read_text()))
    for manifest in found:
        validate(manifest, version, strict=True)
    kinds = [manifest["kind"] for manifest in found]
    assert kinds == ["PersistentVolumeClaim", "ServiceAccount", "Role", "RoleBinding", "Job"]


def test_jobs_and_the_study_see_the_same_image_and_the_same_folders():
    *_, study = yaml.safe_load_all((PROFILE / "study.yaml").read_text())
    job = yaml.safe_load((PROFILE / "job.yaml").read_text().replace("{folder}", "/study"))
    of_study, of_job = (
        manifest["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
        for manifest in (study, job)
    )
    assert of_study == of_job
    container = study["spec"]["template"]["spec"]["containers"][0]
    environment = {entry["name"]: entry["value"] for entry in container["env"]}
    assert environment["AUTOLOSS_IMAGE"] == container["image"]


@pytest.mark.parametrize("condition", ["", "Complete", "Failed", "FailureTarget"])
def test_the_status_of_a_job(condition, tmp_path):
    kubectl(tmp_path, f"echo some-job {condition}")
    expected = {"Complete": "success", "Failed": "failed"}.get(condition, "running")
    assert status(tmp_path) == expected


def test_a_job_that_is_gone_has_failed_and_one_that_cannot_be_asked_for_runs(tmp_path):
    kubectl(tmp_path, "true")
    assert status(tmp_path) == "failed"
    kubectl(tmp_path, "echo no route to host >&2; exit 1")
    assert status(tmp_path) == "running"


def kubectl(folder: Path, line: str) -> None:
    """A `kubectl` that does what `line` says."""
    file = folder / "kubectl"
    file.write_text(f"#!/bin/sh\n{line}\n")
    file.chmod(0o755)


def status(folder: Path) -> str:
    done = subprocess.run(
        [PROFILE / "status", "job.batch/some-job"],
        env={"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_a_preempted_pod_goes_on_and_every_run_has_the_bits_of_a_local_one(tmp_path):
    for name in ("local", "remote", "cluster", "bin"):
        (tmp_path / name).mkdir()
    local, remote = Project(tmp_path / "local"), Project(tmp_path / "remote")
    training = {"max_epochs": EPOCHS, "patience": EPOCHS}
    config = local.config(training=training, study={"methods": ["ce", "grid", "autoloss"]})
    shutil.copy(local.folder / config, remote.folder)
    made = local.snakemake("table_2", "--configfile", config)
    assert made.returncode == 0, made.stdout

    (tmp_path / "bin" / "kubectl").symlink_to(Path(__file__).with_name("kubectl"))
    places = [tmp_path / "bin", Path(sys.executable).parent, os.environ["PATH"]]
    output = remote.folder / "snakemake.log"
    options = ["--workflow-profile", "configs/profiles/kubernetes", "--configfile", config]
    with output.open("w") as log:
        workflow = subprocess.Popen(
            # No more jobs than cores, and no clocks to wait for: both are this machine's.
            [sys.executable, "-m", "snakemake", "table_2", "--jobs", "2", *options],
            cwd=remote.folder,
            env={
                **os.environ,
                "PATH": ":".join(map(str, places)),
                "PYTHONPATH": f"{remote.folder}:{os.environ.get('PYTHONPATH', '')}",
                "AUTOLOSS_IMAGE": "registry.example/autoloss:1",
                "FAKE_CLUSTER": str(tmp_path / "cluster"),
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        preempt(remote.folder, tmp_path / "cluster")
        assert workflow.wait(timeout=600) == 0, output.read_text()
    finally:
        workflow.terminate()
        workflow.wait()
    assert "Trying to restart job" in output.read_text()
    trained = next(remote.folder.glob("logs/smoke/train/ml100k-ctr/deepfm/autoloss_0-1.log"))
    # Snakemake has removed the first attempt's log. A minute was not over, so the checkpoint from
    # which the second one went on was written when the first one was asked to stop.
    epochs = [int(k) for k in re.findall(r"seed 0: epoch (\d+)", trained.read_text())]
    assert epochs == list(range(epochs[0], EPOCHS + 1))
    assert epochs[0] > 4
    assert digests(remote.folder) == digests(local.folder)
    assert tables(remote.folder) == tables(local.folder)
    specs = [json.loads(file.read_text()) for file in (tmp_path / "cluster").glob("*.json")]
    limits = [
        spec["spec"]["activeDeadlineSeconds"]
        for spec in specs
        if spec["metadata"]["generateName"].startswith("autoloss-train")
    ]
    once = min(limits)
    # The second attempt of the one that was preempted may take twice as long.
    assert sorted(limits) == [once] * (len(limits) - 1) + [2 * once]


def preempt(folder: Path, cluster: Path) -> None:
    """Signal the pod that trains `PREEMPTED`, in its fifth epoch, as the kubelet does."""
    log = folder / "logs/smoke/train" / f"{PREEMPTED.replace(' ', '/')}_0-1.log"
    for _ in range(3000):
        found = process_of(f"autoloss train {PREEMPTED}", folder)
        if found and log.exists() and "seed 0: epoch 4:" in log.read_text():
            pods = {int(file.read_text()) for file in cluster.glob("*.pid")}
            group = os.getpgid(found[0])
            assert group in pods  # so `tini -g` reaches it
            os.killpg(group, signal.SIGTERM)
            return
        time.sleep(0.05)
    pytest.fail(f"{PREEMPTED} did not start")
