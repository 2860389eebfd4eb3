"""Kills and restarts of the real workflow: python benchmarks/soak.py [--kills 100] [--seed 0]

Runs the smoke scale undisturbed in one copy of the project; in another, kills it at random moments
and starts it again, round after round, until so many kills were made and the last round is through.
Allowed is one outcome: every record has the digest, and every table the bytes, of the undisturbed
run, and nothing is left behind. Anything else is counted, and the exit status is 1.

Kinds of kills: `everything`, the workflow and its jobs; `workflow`, which leaves its jobs orphans
beside its successor's; `job`, one of them; `job, asked`, by SIGTERM, as a cluster preempts. For
root, who can mount the results on a small disk, also `full disk`: no byte is free for some seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[1]
PARTS = (
    "Snakefile",
    "environment.yml",
    "README.md",
    "autoloss",
    "baselines",
    "configs",
    "profiles",
)
KINDS = ("everything", "workflow", "job", "job, asked")
FULL_DISK = "full disk"
DISK = "size=64m"  # of the disk that is filled: several times what a round's results need
# Checkpoints at every step that takes long enough: what a kill loses is little.
CONFIG = "scale: smoke\ntraining: {checkpoint_seconds: 0.2}\n"
PATIENCE = 4  # failures in a row that no kill explains, but for the last kills' own
PAUSE = (2.0, 9.0)  # seconds between a start, or a kill of one job, and the next kill
FULL = (0.5, 4.0)  # seconds that the disk is full


@dataclass
class Copy:
    """A copy of the project in which the workflow is run."""

    folder: Path
    targets: list[str]
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        for part in PARTS:
            source = ROOT / part
            copy = shutil.copytree if source.is_dir() else shutil.copy
            copy(source, self.folder / part)
        (self.folder / "soak.yaml").write_text(CONFIG)
        self.log = self.folder / "snakemake.log"

    def start(self, *extra: str) -> psutil.Popen:
        """The workflow, as a process group of its own."""
        options = ["--cores", "2", *extra, "--configfile", "soak.yaml"]
        with self.log.open("ab") as log:
            return psutil.Popen(
                [sys.executable, "-m", "snakemake", *self.targets, *options],
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(self.folder)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def digests(self) -> dict[str, str]:
        """Of every run, by its record's path."""
        records = self.folder.glob("results/smoke/runs/*/*/*/seed_*.json")
        return {
            str(file.relative_to(self.folder)): json.loads(file.read_text())["digest"]
            for file in records
        }

    def tables(self) -> dict[str, bytes]:
        """Every table's bytes."""
        files = self.folder.glob("results/smoke/tables/*.csv")
        return {file.name: file.read_bytes() for file in files}

    def end_of_log(self) -> str:
        """The last lines that the workflow wrote."""
        return "\n".join(self.log.read_text().splitlines()[-40:])

    def left(self) -> list[Path]:
        """Checkpoints, locks and half files that should be gone."""
        results = self.folder / "results"
        return [*results.rglob("*.tmp"), *results.rglob("*.pt.*"), *results.rglob(".state/*")]


def wait(copy: Copy, process: psutil.Popen) -> None:
    """Until the workflow is through.

    Raises:
        SystemExit: it failed without having been killed.
    """
    if process.wait() != 0:
        sys.exit(f"the workflow failed:\n{copy.end_of_log()}")


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """During the block `folder` is a disk of its own, a small one; false if that takes root."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", str(folder)]).returncode
    try:
        yield mounted == 0
    finally:
        if mounted == 0:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill_disk(folder: Path, seconds: float) -> None:
    """Whatever is freed on the disk of `folder` is taken at once, for a while."""
    ballast, end = folder / "ballast", time.monotonic() + seconds
    with ballast.open("wb", buffering=0) as file:
        while time.monotonic() < end:
            try:
                file.write(bytes(4096))
            except OSError:
                time.sleep(0.01)
    ballast.unlink()


def disturb(copy: Copy, process: psutil.Popen, kind: str, draw: random.Random) -> bool:
    """Kill, or fill the disk; whether there was something of that kind to kill."""
    if kind == FULL_DISK:
        fill_disk(copy.folder / "results", draw.uniform(*FULL))
        return True
    try:
        family = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return False
    jobs = [child for child in family if _is_job(child)]
    if kind == "everything":
        victims, number = [process, *family], signal.SIGKILL
    elif kind == "workflow":
        victims, number = [process], signal.SIGKILL
    else:
        victims = [draw.choice(jobs)] if jobs else []
        number = signal.SIGTERM if kind == "job, asked" else signal.SIGKILL
    for victim in victims:
        try:
            victim.send_signal(number)
        except psutil.NoSuchProcess:
            continue
    return bool(victims)


def _is_job(process: psutil.Process) -> bool:
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    return command[1:3] == ["-m", "autoloss"] and command[3] in ("train", "search")


def disturbed(
    copy: Copy, kills: Counter[str], wanted: int, kinds: tuple[str, ...], draw: random.Random
) -> int:
    """One round: kill until the workflow is through or there were enough; the starts it took."""
    starts, unprovoked = 0, 0
    while True:
        before = kills.total()
        subprocess.run(
            [sys.executable, "-m", "snakemake", "--unlock", "--configfile", "soak.yaml"],
            cwd=copy.folder,
            env={**os.environ, "PYTHONPATH": str(copy.folder)},
            capture_output=True,
            check=True,
        )
        process, starts = copy.start("--rerun-incomplete"), starts + 1
        while kills.total() < wanted:
            try:
                if process.wait(timeout=draw.uniform(*PAUSE)) == 0:
                    return starts
                break
            except psutil.TimeoutExpired:
                kind = draw.choice(kinds)
                kills[kind] += disturb(copy, process, kind, draw)
        if kills.total() >= wanted and process.wait() == 0:
            return starts
        unprovoked = 0 if kills.total() > before else unprovoked + 1
        if unprovoked == PATIENCE:
            sys.exit(f"the workflow fails without a kill:\n{copy.end_of_log()}")


def wait_for_orphans(copy: Copy) -> None:
    """Jobs of killed workflows may still be at seeds that their successors have made."""
    of_copy = [p for p in psutil.process_iter() if _is_job(p) and _works_in(p, copy.folder)]
    psutil.wait_procs(of_copy, timeout=600)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()) == folder
    except psutil.Error:
        return False


def empty(folder: Path) -> None:
    """Remove all that is in `folder`."""
    for entry in folder.iterdir():
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def differences(copy: Copy, whole: Copy) -> dict[str, int]:
    """What is not as in the undisturbed run."""
    expected, found = whole.digests(), copy.digests()
    tables, of_whole = copy.tables(), whole.tables()
    return {
        "runs compared": len(expected),
        "lost": len(set(expected) - set(found)),
        "different": sum(found.get(k, v) != v for k, v in expected.items()),
        "tables different": sum(tables.get(name) != text for name, text in of_whole.items()),
        "left behind": len(copy.left()),
    }


def main() -> int:
    """Print the table; 1 if anything was lost, different or left."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="with its raw/ fetched")
    parser.add_argument("targets", nargs="*", default=["table_2", "table_3"])
    options = parser.parse_args()
    draw, kills = random.Random(options.seed), Counter[str]()
    bad, rounds, starts = Counter[str](), 0, 0
    with tempfile.TemporaryDirectory() as place:
        copies = []
        for name in ("whole", "disturbed"):
            folder = Path(place) / name
            folder.mkdir()
            copies.append(Copy(folder, options.targets))
            shutil.copytree(options.data / "raw", folder / "data" / "raw")
        whole, copy = copies
        began = time.monotonic()
        wait(whole, whole.start())
        print(f"undisturbed: {len(whole.digests())} runs in {time.monotonic() - began:.0f} s")
        with small_disk(copy.folder / "results") as is_small:
            kinds = (*KINDS, FULL_DISK) if is_small else KINDS
            while kills.total() < options.kills:
                starts += disturbed(copy, kills, options.kills, kinds, draw)
                wait_for_orphans(copy)
                rounds += 1
                found = differences(copy, whole)
                bad.update(found)
                shown = ", ".join(f"{value} {key}" for key, value in found.items())
                print(
                    f"round {rounds}, {kills.total()} kills, {starts} starts: {shown}", flush=True
                )
                empty(copy.folder / "results")
    for kind in kinds:
        print(f"{kind:12} {kills[kind]:4} kills")
    del bad["runs compared"]
    print(f"{'in all':12} {kills.total():4} kills, {starts} starts, {rounds} rounds: {dict(bad)}")
    return 1 if bad.total() else 0


if __name__ == "__main__":
    sys.exit(main())
