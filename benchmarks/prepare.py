"""How fast raw data are prepared, and in how much memory: ours beside FuxiCTR's preprocessing.

    python benchmarks/prepare.py --rows 1000000 --rounds 3

Both get the same generated rows of Criteo's format and do the same work: the numbers' rule, values
seen fewer than 10 times in training fold, every row encoded and written. FuxiCTR gets the rows
split into three files with a header; ours splits them itself, checks digests and every cell. Each
run is a process of its own, in turn with the other. Memory is the peak of the proportional set size
over a process and its children, sampled, since FuxiCTR works in Ray's processes.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent
FUXICTR = HERE / ".venvs/fuxictr/bin/python"
COLUMNS = [f"I{k}" for k in range(1, 14)] + [f"C{k}" for k in range(1, 27)]


def ours(folder: Path) -> None:
    """Prepare `folder`/raw."""
    from autoloss.data.prepare import prepare
    from autoloss.data.registry import load_dataset

    prepare(load_dataset("criteo", HERE.parent), folder / "raw", folder / "ours")


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


def main() -> None:
    """Run the systems in turn and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("ours", "fuxictr"))
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.only:
        {"ours": ours, "fuxictr": fuxictr}[options.only](options.folder)
        return
    systems = ["ours", "fuxictr"] if FUXICTR.exists() else ["ours"]
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = Path(temporary)
        write_input(folder, options.rows)
        found = {system: [] for system in systems}
        for _ in range(options.rounds):
            for system in systems:
                found[system].append(run(system, folder))
    print("| system | rows/s | s (each round) | peak MB |\n|---|---:|---|---:|")
    for system, runs in found.items():
        seconds, memory = zip(*runs, strict=True)
        each = ", ".join(f"{one:.1f}" for one in seconds)
        speed = options.rows / median(seconds)
        print(f"| {system} | {speed:,.0f} | {each} | {max(memory):,.0f} |")
    if len(systems) == 2:
        pairs = zip(found["fuxictr"], found["ours"], strict=True)
        ratios = [theirs[0] / mine[0] for theirs, mine in pairs]
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"\nOurs is {median(ratios):.2f} times as fast (by round: {each}).")


if __name__ == "__main__":
    main()
