"""How fast training is: against peers, against vocabulary, and by method, each in one run.

    python benchmarks/peers.py > docs/performance.md

First of all the paper's configuration, by this project alone, its methods in turns in one process.
The workers of a group are trained in turn, round after round, so that a slow minute of the machine
hits all of them. Each is started GROUPS times: where its memory comes to lie makes one as much as a
tenth slower than another for as long as it lives. Speeds are medians over the rounds of all, each
worker's first one left out; all else is of the workers started last.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NamedTuple

import task

from autoloss.records.provenance import cpu_name

HERE = Path(__file__).parent
PEERS = {
    file.stem: file.read_text().splitlines()[-1] for file in sorted(HERE.glob("systems/*.txt"))
}  # of their requirements the last is the peer itself
GROUPS = 3
METHODS = ("ce", "slf", "autoloss_direct", "melu", "darts", "autoloss")


class Setting(NamedTuple):
    """What a worker trains: a module of `systems`, ours with `:METHOD/TABLE_UPDATES` behind."""

    system: str
    network: str
    vocabulary: str


class Result(NamedTuple):
    """Of one worker: examples/s in training and evaluation, seconds to the ready line, AUC, MB."""

    speed: float
    evaluation: float
    start: float
    auc: float
    memory: float


class Worker:
    """A worker process."""

    def __init__(self, setting: Setting) -> None:
        own = HERE / ".venvs" / setting.system / "bin/python"
        python = own if setting.system in PEERS else Path(sys.executable)
        started = time.perf_counter()
        self.process = subprocess.Popen(
            [str(python), str(HERE / "worker.py"), *setting],
            cwd=task.CACHE,  # for what libraries write where they stand
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(task.CACHE / "worker.log").open("a"),
            text=True,
        )
        self._line()
        self.start = time.perf_counter() - started

    def _line(self) -> str:
        assert self.process.stdout is not None
        if not (line := self.process.stdout.readline()):
            raise SystemExit(f"worker stopped, see {task.CACHE}/worker.log: {self.process.args!r}")
        return line

    def ask(self, command: str) -> dict[str, float]:
        """The answer to `train` or `evaluate`."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        answer: dict[str, float] = json.loads(self._line())
        return answer


def measure(settings: list[Setting], rounds: int) -> dict[Setting, Result]:
    """Train the settings' workers in turn, GROUPS times anew."""
    for setting in settings:
        task.make(task.VOCABULARIES[setting.vocabulary])
    seconds: dict[Setting, list[float]] = {setting: [] for setting in settings}
    workers: dict[Setting, Worker] = {}
    for _ in range(GROUPS):
        for worker in workers.values():
            worker.process.kill()
        workers = {setting: Worker(setting) for setting in settings}
        for k in range(rounds + 1):
            for setting, worker in workers.items():
                took = worker.ask("train")["seconds"]
                seconds[setting] += [took] if k else []
    results = {}
    for setting, worker in workers.items():
        worker.ask("evaluate")
        last = worker.ask("evaluate")
        speed, evaluation = task.TRAIN / median(seconds[setting]), task.TEST / last["seconds"]
        memory = last["memory_mb"]
        results[setting] = Result(speed, evaluation, worker.start, last["auc"], memory)
        worker.process.kill()
    return results


def in_the_papers_configuration(rounds: int) -> str:
    """A table of `papers_configuration.py`'s methods, their times relative to the first one's."""
    command = [sys.executable, str(HERE / "papers_configuration.py"), str(rounds)]
    found = [
        json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        for _ in range(GROUPS)
    ]
    first, *_ = found[0]["seconds"]
    rows = []
    for name in found[0]["seconds"]:
        seconds = [median(one["seconds"][name]) for one in found]
        ratios = [s / median(one["seconds"][first]) for s, one in zip(seconds, found, strict=True)]
        spread = f"{median(ratios):.3f} [{min(ratios):.3f}, {max(ratios):.3f}]"
        rows.append(f"| {name} | {found[0]['batch'] / median(seconds):,.0f} | {spread} |")
    return "\n".join(
        [
            f"### The paper's configuration, {found[0]['values']:,} values\n",
            "| | examples/s | time, relative [lowest, highest of the processes] |\n|---|---:|---:|",
            *rows,
        ]
    )


def against_peers(network: str, vocabulary: str, rounds: int) -> str:
    """A table of systems; ratios to the fastest peer."""
    systems = ("autoloss:ce/deferred", "autoloss:ce/dense", *PEERS)
    floors = [Setting(f"floor:{how}", network, vocabulary) for how in ("onednn", "mkl")]
    settings = [Setting(system, network, vocabulary) for system in systems]
    found = measure([*settings, *floors], rounds)
    one_dnn, mkl = (found.pop(setting).speed for setting in floors)
    best = max(result.speed for setting, result in found.items() if setting.system in PEERS)
    rows = [
        f"| {PEERS.get(s.system, s.system)} | {r.speed:,.0f} | {r.speed / best:.2f} "
        f"| {r.speed / max(one_dnn, mkl):.0%} | {r.speed / mkl:.0%} | {r.evaluation:,.0f} "
        f"| {r.start:.1f} | {r.memory:,.0f} | {r.auc:.3f} |"
        for s, r in found.items()
    ]
    hidden = "-".join(map(str, task.NETWORKS[network]))
    return "\n".join(
        [
            f"### MLP {hidden}, {task.VOCABULARIES[vocabulary]:,} values\n",
            "| system | examples/s | to the best peer | of the floor | of MKL's | evaluated/s "
            "| start, s | MB | AUC |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
            *rows,
        ]
    )


def against(settings: list[Setting], names: list[str], rounds: int) -> list[str]:
    """Rows of a table; time relative to the first setting."""
    found = list(measure(settings, rounds).values())
    return [
        f"| {name} | {result.speed:,.0f} | {found[0].speed / result.speed:.2f} |"
        for name, result in zip(names, found, strict=True)
    ]


def page(rounds: int) -> str:
    """The whole of docs/performance.md."""
    parts = [(HERE / "performance.md").read_text(encoding="utf-8").rstrip()]
    parts.append(
        f"## Figures\n\n{date.today()}, {cpu_name()}, {task.THREADS} threads, "
        f"torch {version('torch')}; medians of {GROUPS} x {rounds} rounds of {task.TRAIN:,} "
        "examples."
    )
    parts.append(in_the_papers_configuration(rounds))
    for network in task.NETWORKS:
        parts += [against_peers(network, vocabulary, rounds) for vocabulary in ("100k", "1m")]
    head = "| | examples/s | time, relative |\n|---|---:|---:|"
    names = [f"{n:,} values" for n in task.VOCABULARIES.values()]
    for network, hidden in task.NETWORKS.items():
        mlp = f"MLP {'-'.join(map(str, hidden))}"
        sizes = [Setting("autoloss:ce/deferred", network, v) for v in task.VOCABULARIES]
        rows = against(sizes, names, rounds)
        parts.append("\n".join([f"### Vocabulary: deferred Adam, {mlp}\n", head, *rows]))
        settings = [Setting(f"autoloss:{method}", network, "1m") for method in METHODS]
        rows = against(settings, list(METHODS), rounds)
        parts.append("\n".join([f"### Methods: {mlp}, 1,090,000 values\n", head, *rows]))
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    print(page(parser.parse_args().rounds), end="")
