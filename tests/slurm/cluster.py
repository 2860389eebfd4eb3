"""A real Slurm on this machine: munge, one controller and two nodes, on loopback.

srun within a job reads the configuration from its default path, so that file is written; a machine
that has one already is left alone, unless it is what a killed test left.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

CONFIG = Path("/etc/slurm/slurm.conf")
PORT = 16817
NODES = {"one": 16818, "two": 16819}
PLUGIN = "snakemake_executor_plugin_slurm"
# No cgroups and no accounting: neither is there in a container. Jobs of a node share its cores.
SETTINGS = """ClusterName=autoloss
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
KillWait=5
MinJobAge=600
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=32000\n"
)


def missing() -> str | None:
    """Why Slurm cannot be started here, if it cannot."""
    for program in ("munged", "slurmctld", "slurmd", "sbatch"):
        if shutil.which(program) is None:
            return f"{program} is not installed: apt-get install slurm-wlm munge"
    if find_spec(PLUGIN) is None:
        return "the plugin is not installed: pip install 'autoloss[cluster]'"
    if os.geteuid() != 0:
        return "only root can start Slurm"
    if CONFIG.exists() and not _left_over():
        return f"this machine has a Slurm of its own ({CONFIG})"
    return None


def _left_over() -> bool:
    """Whether the configuration is that of a test that was killed, not of a Slurm that runs."""
    if not CONFIG.read_text().startswith("ClusterName=autoloss\n"):
        return False
    with socket.socket() as asked:
        return asked.connect_ex(("127.0.0.1", PORT)) != 0


@contextmanager
def running(folder: Path) -> Iterator[None]:
    """Slurm runs during the block, with everything it writes in `folder`, which is short-lived."""
    host = socket.gethostname()
    settings = SETTINGS.format(host=host, port=PORT, folder=folder)
    nodes = [NODE.format(name=name, host=host, port=port) for name, port in NODES.items()]
    for name in ("state", *NODES):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    munge = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    files = [f"--{option}={folder}/munge.{name}" for option, name in munge.items()]
    CONFIG.write_text(settings.replace("PartitionName", "".join(nodes) + "PartitionName"))
    daemons = []
    try:
        for command in (
            ["munged", "--foreground", "--force", f"--key-file={key}", *files],
            ["slurmctld", "-D"],
            *(["slurmd", "-D", "-N", name] for name in NODES),
        ):
            daemons.append(_start(command, folder))
        _wait_until_idle()
        yield
        subprocess.run(["scancel", "--user=root"], check=False)
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(timeout=30)
        CONFIG.unlink()


def _start(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "daemons.log").open("ab") as log:
        daemon = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    time.sleep(1)
    return daemon


def _wait_until_idle(seconds: float = 30) -> None:
    states = ""
    for _ in range(int(seconds)):
        asked = subprocess.run(["sinfo", "-hN", "-o", "%T"], capture_output=True, text=True)
        states = asked.stdout + asked.stderr
        if states.split() == ["idle"] * len(NODES):
            return
        time.sleep(1)
    raise RuntimeError(f"Slurm did not start within {seconds} s: {states}")
