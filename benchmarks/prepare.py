"""How fast raw data are prepared, and in how much memory: ours beside FuxiCTR's preprocessing.

    python benchmarks/prepare.py --rows 1000000 --rounds 3

Both get the same generated rows of Criteo's format and do the same work: the numbers' rule, values
seen fewer than 10 times in training fold, every row encoded and written. FuxiCTR gets the rows
split into three files with a header; ours splits them itself, checks digests and every cell. Each
run is a process of its own, in turn with the other, of few rows and of all. Memory is the peak of
the proportional set size over a process and its children, sampled, since FuxiCTR works in Ray's
processes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple

HERE = Path(__file__).parent
FUXICTR = HERE / ".venvs/fuxictr/bin/python"
FEW = 20  # a run of so many times fewer rows tells what the start of a process takes
COLUMNS = [f"I{k}" for k in range(1, 14)] + [f"C{k}" for k in range(1, 27)]


def ours(folder: Path) -> None:
    """Prepare `folder`/raw."""
    from autoloss.data.prepare.dataset import prepare
    from autoloss.data.specs import load_dataset

    prepare(load_dataset("criteo", HERE.parent), folder / "raw", {0: folder / "ours"})


def fuxictr(folder: Path) -> None:
    """FuxiCTR's documented way for Criteo: its own processor, as in BARS' Criteo_x4_001."""
    import polars as pl
    from fuxictr.datasets.criteo import CustomizedFeatureProcessor
    from fuxictr.preprocess import build_dataset

    scan = pl.scan_csv
    # FuxiCTR 2.3 passes an argument that polars 2 has renamed.
    pl.scan_csv = lambda dtypes=None, **k: scan(schema_overrides=dtypes, **k)
    shared = {"active": True, "type": "categorical"}
    fields = [
        {"name": COLUMNS[:13], "dtype": "float", "fill_na": 0, "preprocess": "convert_to_bucket"},
        {"name": COLUMNS[13:], "dtype": "str", "fill_na": ""},
    ]
    processor = CustomizedFeatureProcessor(
        feature_cols=[field | shared for field in fields],
        label_col={"name": "Label", "dtype": "float"},
        dataset_id="fuxictr",
        data_root=str(folder),
    )
    files = {f"{name}_data": str(folder / f"{name}.csv") for name in ("train", "valid", "test")}
    build_dataset(processor, **files, min_categr_count=10, sep="\t")


def write_input(folder: Path, rows: int) -> None:
    """Generate raw data for ours, and the same rows in three files with a header for FuxiCTR."""
    from autoloss.synth.write import generate

    generate("criteo", rows, 0, folder / "raw")
    header = ("\t".join(["Label", *COLUMNS]) + "\n").encode()
    held_out = round(rows / 10)
    counts = {"train": rows - 2 * held_out, "valid": held_out, "test": held_out}
    with (folder / "raw" / "train.txt").open("rb") as raw:
        for name, count in counts.items():
            with (folder / f"{name}.csv").open("wb") as file:
                file.write(header)
                file.writelines(raw.readline() for _ in range(count))


def run(system: str, folder: Path) -> tuple[float, float]:
    """Seconds and peak memory in MB of a system's process."""
    import psutil

    for name in ("ours", "fuxictr"):
        shutil.rmtree(folder / name, ignore_errors=True)
    python = sys.executable if system == "ours" else str(FUXICTR)
    log, start = (folder / f"{system}.log").open("a"), time.perf_counter()
    command = [python, __file__, "--only", system, "--folder", str(folder)]
    process = psutil.Popen(command, stdout=log, stderr=log)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _memory(process))
        time.sleep(0.1)
    if process.returncode:
        raise SystemExit(f"{system} stopped, see {log.name}:\n{Path(log.name).read_text()[-2000:]}")
    return time.perf_counter() - start, peak / 1e6


def _memory(process: object) -> int:
    import psutil

    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_full_info().pss
    except psutil.Error:
        return 0  # a process has just ended
    return total


class Runs(NamedTuple):
    """Seconds and peak memory of a system's runs, of few rows and of all."""

    few: list[tuple[float, float]]
    all: list[tuple[float, float]]

    def speeds(self, rows: int) -> tuple[float, float]:
        """Rows/s with the start of the process, and without it: between few rows and all."""
        few, whole = (median(seconds for seconds, _ in runs) for runs in self)
        return rows / whole, (rows - rows // FEW) / (whole - few)


def compare(rows: int, rounds: int, folder: Path) -> None:
    """Run the systems in turn and print a table."""
    found = {name: Runs([], []) for name in SYSTEMS if name != "fuxictr" or FUXICTR.exists()}
    folders = folder / "few", folder / "all"
    for part, count in zip(folders, (rows // FEW, rows), strict=True):
        write_input(part, count)
    for _ in range(rounds):
        for system, runs in found.items():
            for part, into in zip(folders, runs, strict=True):
                into.append(run(system, part))
    print("| system | rows/s | rows/s without start | s, each round | peak MB |")
    print("|---|---:|---:|---|---:|")
    for system, runs in found.items():
        whole, beyond = runs.speeds(rows)
        each = ", ".join(f"{seconds:.1f}" for seconds, _ in runs.all)
        memory = max(peak for _, peak in runs.all)
        print(f"| {system} | {whole:,.0f} | {beyond:,.0f} | {each} | {memory:,.0f} |")
    if "fuxictr" in found:
        pairs = zip(found["fuxictr"].speeds(rows), found["ours"].speeds(rows), strict=True)
        whole, beyond = (mine / theirs for theirs, mine in pairs)
        print(f"\nOurs is {whole:.1f} times as fast, {beyond:.1f} times without start.")


def main() -> None:
    """Compare, or with --only be one of the compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where the temporary files go")
    parser.add_argument("--only", choices=SYSTEMS)
    options = parser.parse_args()
    if options.only:
        SYSTEMS[options.only](options.folder)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        compare(options.rows, options.rounds, Path(folder))


SYSTEMS = {"ours": ours, "fuxictr": fuxictr}

if __name__ == "__main__":
    main()
