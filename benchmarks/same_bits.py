"""Whether a change of code moves a number: `python benchmarks/same_bits.py COMMIT`.

The working tree and the tree at COMMIT run a study with one seed a cell, on the laptop's data:
every method, both tasks, every model, frozen and searched ones too. They run in turn, one job at a
time, `--rounds` times; every record's digest (all final weights, AUC and raw log loss to the last
bit) must be the same. A table has the ratio of training seconds, fastest round of each.

Exit status: 0 if all digests are the same, 1 otherwise. About 12 minutes a round. The studies are
left in the folder that is printed first.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas as pd
import yaml

ROOT = Path(__file__).resolve().parents[1]
CELL = ["dataset", "model", "method", "seed"]
STUDY = {"name": "same_bits", "seeds": 1}
GROUPS = ("table_2", "table_3", "figure_3", "figure_4")


def working_tree() -> str:
    """A commit of the tracked files as they are, on no branch."""
    new = subprocess.check_output(["git", "ls-files", "--others", "--exclude-standard"], cwd=ROOT)
    if new:
        sys.exit(f"git does not know these files yet: git add them\n{new.decode()}")
    made = subprocess.check_output(["git", "stash", "create"], cwd=ROOT, text=True)
    return made.strip() or "HEAD"


def tree_at(commit: str, folder: Path) -> Path:
    """The project's files at a commit, with the raw data that are here."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=archive.stdout, check=True)
    if (ROOT / "data" / "raw").is_dir():
        shutil.copytree(ROOT / "data" / "raw", folder / "data" / "raw")
    return folder


def trained(tree: Path, config: Path) -> pd.DataFrame:
    """Run the study anew: its cells with digests and seconds."""
    results = tree / "results" / STUDY["name"]
    shutil.rmtree(results, ignore_errors=True)
    targets = [f"results/{STUDY['name']}/index/{group}.parquet" for group in GROUPS]
    command = ["-m", "snakemake", "--cores", "1", "--configfile", str(config), "--quiet", "all"]
    environment = {**os.environ, "PYTHONPATH": str(tree)}
    with (tree / "same_bits.log").open("a") as log:
        subprocess.run(
            [sys.executable, *command, "--", *targets],
            cwd=tree,
            env=environment,
            check=True,
            stdout=log,
            stderr=log,
        )
    records = [json.loads(file.read_text()) for file in results.glob("runs/*/*/*/seed_*.json")]
    rows = [
        {**{key: r[key] for key in CELL}, "digest": r["digest"], "seconds": r["budget"]["seconds"]}
        for r in records
    ]
    return pd.DataFrame(rows).set_index(CELL).sort_index()


def main() -> None:
    """Train both trees in turn, print what differs and how fast they were."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit", help="what the working tree is compared with")
    parser.add_argument("--rounds", type=int, default=1, help="how often each tree trains")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of a run")
    options = parser.parse_args()

    folder = Path(tempfile.mkdtemp(prefix="same_bits."))
    print(f"in {folder}", flush=True)
    trees = {
        "before": tree_at(options.commit, folder / "before"),
        "after": tree_at(working_tree(), folder / "after"),
    }
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({"study": STUDY, "training": {"max_epochs": options.epochs}}))
    rounds: dict[str, list[pd.DataFrame]] = {side: [] for side in trees}
    for _ in range(options.rounds):
        for side, tree in trees.items():
            rounds[side].append(trained(tree, config))

    before, after = (pd.concat(dict(enumerate(rounds[side]))) for side in trees)
    both = before.join(after, how="outer", lsuffix="_before", rsuffix="_after")
    other = both[both["digest_before"] != both["digest_after"]]
    fastest = both[["seconds_before", "seconds_after"]].groupby(level=CELL).min()
    ratio = fastest.groupby(level=["dataset", "method"]).sum()
    ratio["after / before"] = ratio["seconds_after"] / ratio["seconds_before"]
    print(ratio.round(3).to_string())
    print(f"all together: {fastest['seconds_after'].sum() / fastest['seconds_before'].sum():.3f}")
    print(other.to_string() if len(other) else f"all {len(both)} digests are the same")
    sys.exit(1 if len(other) else 0)


if __name__ == "__main__":
    main()
