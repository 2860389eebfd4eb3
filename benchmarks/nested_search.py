"""What it leaves that a search's split shares rows with the tests of the runs that it is made for.

    python benchmarks/nested_search.py [--cell ml100k-ctr/deepfm/ce] [--processes 2]

A study searches once per cell, on a split of its own, where nine tenths of the rows that a run is
tested on were trained and validated on. Here one cell of the tuned protocol is searched once as the
study does, and once for each split on that split itself, whose test rows no trial sees; the run
of each split is then trained with either choice. Printed are both test values by split, the mean
gain of the study's search over the splits' own, and the interval of the corrected resampled t test.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from autoloss.data.load.prepared import PreparedData
from autoloss.methods.load import load
from autoloss.metrics import METRICS
from autoloss.search.lab import CellLab
from autoloss.search.tuning import tune
from autoloss.stats.paired import compare
from autoloss.strict import read_yaml
from autoloss.study.cell import Cell
from autoloss.study.study import Study
from autoloss.training.loop import Trainer

ROOT = Path(__file__).parents[1]
SHOWN = ("auc", "logloss_calibrated")


def study() -> Study:
    """The laptop study with every method tuned."""
    return Study.load(read_yaml(ROOT / "configs" / "protocol" / "tuned.yaml"), ROOT)


def searched(name: str, split: int) -> dict[str, Any]:
    """What the search of a cell chooses on a split."""
    plan, cell = study(), Cell(*name.split("/"))
    data = PreparedData.open(plan.prepared_folder(cell.dataset, split))
    with TemporaryDirectory() as folder:
        lab = CellLab(plan, cell, data, Path(folder) / "trials.json")
        tune(lab)
        return dict(lab.choose())


def tested(name: str, seed: int, chosen: Mapping[str, Any]) -> dict[str, float]:
    """Test metrics of the run of `seed`, on its split, with what a search chose."""
    plan, cell = study(), Cell(*name.split("/"))
    config = plan.with_assignment(cell.method, chosen, "what was searched").config
    data = PreparedData.open(plan.prepared_folder(cell.dataset, plan.split_of(seed)))
    trainer = Trainer(config, data, cell.model, load(plan.base(cell.method)), seed)
    return dict(trainer.run()["test"])


def main() -> None:
    """Search, train and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", default="ml100k-ctr/deepfm/ce")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    plan, name = study(), options.cell
    splits = [plan.split_of(seed) for seed in plan.seeds]
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        shared, *own = pool.map(searched, repeat(name), (plan.split_of(None), *splits))
        print(f"{name}, the study's search chose {shared}", flush=True)
        for_all = [*pool.map(tested, repeat(name), plan.seeds, repeat(shared))]
        nested = [*pool.map(tested, repeat(name), plan.seeds, own)]
    for k, split in enumerate(splits):
        pairs = (f"{m} {for_all[k][m]:.5f} {nested[k][m]:.5f}" for m in SHOWN)
        print(f"split {split}: {', '.join(pairs)}; its own chose {own[k]}")
    folder = plan.prepared_folder(Cell(*name.split("/")).dataset, splits[0])
    rows = PreparedData.open(folder).manifest.splits
    for m in SHOWN:
        one, other = ([run[m] for run in runs] for runs in (for_all, nested))
        better, share = METRICS[m].higher_is_better, rows["test"] / rows["train"]
        c = compare(one, other, higher_is_better=better, test_to_train=share)
        print(f"{m}: gain of the study's search {c.gain:+.5f} [{c.low:+.5f}, {c.high:+.5f}]")


if __name__ == "__main__":
    main()
