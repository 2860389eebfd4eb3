"""What each kernel and each derivative written by hand wins of a training step.

    python benchmarks/census.py          # minutes, on a machine that does nothing else
    python benchmarks/census.py --quick  # whether it runs at all

One after the other is taken out, so that torch's own operations stand in its place, and the step
without it is timed against the step with everything, in turns, in one process: in the paper's
configuration and at the laptop scale, for cross-entropy and for AutoLoss. A ratio is that of the
medians, beside it the lowest and highest of those of PARTS parts of the rounds; above 1 the kernel
wins. What DeepFM does not run is timed in a model that does.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, nullcontext
from itertools import groupby
from statistics import median
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from scales import LAPTOP, PAPER, Scale, block

from autoloss.ops.attention import attend
from autoloss.ops.batch_norm import batch_norm
from autoloss.ops.candidates import candidate_losses
from autoloss.ops.factorisation import factorise, pair_sum
from autoloss.ops.hidden import hidden
from autoloss.ops.inner_products import inner_products
from autoloss.ops.linear import linear
from autoloss.ops.random import by_torch
from autoloss.ops.tower import tower
from autoloss.ops.weights import gumbel_softmax
from autoloss.training.loop import Trainer

METHODS = ("ce", "autoloss")
PARTS = 4  # of the rounds, each with a ratio of its own
LITTLE = 1.02  # a ratio below it in every column is marked
SMALL = {"rows": {"train": 400, "validation": 100, "test": 9}, "batch": 40, "threads": 1}
SECONDS = {"paper": 14.0, "laptop": 7.0}  # for each row and scale
Change = tuple[Any, str, Any]  # of what the attribute is set to which value


class Entry(NamedTuple):
    """What is taken out: changes of attributes, the model that shows it, keys of its study."""

    name: str
    changes: tuple[Change, ...]
    model: str = "deepfm"
    keys: Mapping[str, Any] | None = None


class Ratio(NamedTuple):
    """Time without to time with, and its lowest and highest over parts of the rounds."""

    value: float
    low: float
    high: float


def never(*inputs: Any) -> bool:
    """No input fits the kernel: the reference is run."""
    return False


def words_by_torch(seed: int, n: int, device: torch.device) -> torch.Tensor:
    """What `words` does on other devices than a CPU."""
    return by_torch(seed, torch.arange(n, device=device))


def no_slots(*given: Any) -> None:
    """A table without slots: its rows are found by `torch.unique`."""


def module(name: str) -> Any:
    """One of `autoloss`; some have a member of the same name."""
    return importlib.import_module(f"autoloss.{name}")


NO_NORM = {"model": {"batch_norm": False}}
ENTRIES = [
    Entry("hidden layer in one pass", ((hidden, "fits", never),)),
    Entry(
        "hidden layer, and batch norm's second derivative",
        ((hidden, "fits", never), (batch_norm, "fits", never)),
    ),
    Entry("factorise: kernels", ((factorise, "fits", never),)),
    Entry(
        "factorise and pair sum",
        tuple((operation, "fits", never) for operation in (factorise, pair_sum)),
    ),
    Entry("products by oneDNN", ((module("ops.linear"), "_ONE_DNN", None),)),
    Entry("thin products", ((module("ops.linear"), "FEW", 0),)),
    Entry("transposes", ((module("ops.linear"), "transposed", lambda x: x.t().contiguous()),)),
    Entry("linear: its own derivatives", ((linear, "fits", never),)),
    Entry("candidate losses: kernels", ((candidate_losses, "fits", never),)),
    Entry("Gumbel-softmax", ((gumbel_softmax, "fits", never),)),
    Entry("rows of deferred Adam", ((module("ops.adam_rows"), "fits", never),)),
    Entry("rows that a batch reads", ((module("layers.embedding"), "slots_for", no_slots),)),
    Entry(
        "only what a hypergradient asks for",
        ((module("hypergradient"), "asking_for", lambda leaves: nullcontext()),),
    ),
    Entry("inner products (IPNN)", ((inner_products, "fits", never),), "ipnn"),
    Entry("words of dropout (NFM)", ((module("ops.random"), "words", words_by_torch),), "nfm"),
    Entry("attention (AutoInt)", ((attend, "fits", never),), "autoint"),
    Entry("tower (no batch norm)", ((tower, "fits", never),), keys=NO_NORM),
    Entry("tower: second derivative (no batch norm)", ((tower, "second", None),), keys=NO_NORM),
]


def without(entry: Entry) -> ExitStack:
    """A context in which the entry is taken out."""
    stack = ExitStack()
    for target, name, value in entry.changes:
        stack.enter_context(patch.object(target, name, value))
    return stack


def seconds(trainer: Trainer, entry: Entry | None) -> float:
    """Of a step, with everything or without the entry."""
    with without(entry) if entry else nullcontext():
        trainer.inner_step()  # what is kept from step to step has been made anew
        return block(trainer)


def ratio(trainer: Trainer, entry: Entry, budget: float) -> Ratio:
    """In rounds for `budget` seconds, one for each part at least; in a single one for none."""
    seconds(trainer, entry)
    rounds: list[tuple[float, float]] = []
    end = time.monotonic() + budget
    while len(rounds) < (PARTS if budget else 1) or time.monotonic() < end:
        if len(rounds) % 2:
            rounds.append((seconds(trainer, entry), seconds(trainer, None)))
        else:
            rounds.append((seconds(trainer, None), seconds(trainer, entry))[::-1])
    parts = [_of_medians(rounds[k::PARTS]) for k in range(min(PARTS, len(rounds)))]
    return Ratio(_of_medians(rounds), min(parts), max(parts))


def _of_medians(rounds: Iterable[tuple[float, float]]) -> float:
    without_it, with_it = (median(times) for times in zip(*rounds, strict=True))
    return without_it / with_it


def census(scale: Scale, budget: float) -> dict[str, list[Ratio]]:
    """By entry: the ratios of METHODS."""
    found = {}
    for (model, _), entries in groupby(ENTRIES, key=lambda entry: (entry.model, entry.keys)):
        group = list(entries)
        trainers = [scale.trainer(method, model, group[0].keys) for method in METHODS]
        for trainer in trainers:
            block(trainer)
        for entry in group:
            share = budget / len(METHODS)
            found[entry.name] = [ratio(trainer, entry, share) for trainer in trainers]
        del trainers, trainer
        gc.collect()  # tables of a gigabyte
    return found


def page(found: Mapping[str, Mapping[str, list[Ratio]]]) -> str:
    """A row for each entry, the one that wins most first."""
    columns = {name: [r for scale in found.values() for r in scale[name]] for name in best(found)}
    heads = [f"{scale}, {method}" for scale in found for method in METHODS]
    lines = [f"| taken out | {' | '.join(heads)} | |", "|---|" + "---:|" * len(heads) + "---|"]
    for name, largest in sorted(best(found).items(), key=lambda item: -item[1]):
        cells = [f"{r.value:.3f} [{r.low:.3f}, {r.high:.3f}]" for r in columns[name]]
        mark = "below 2 % everywhere" if round(largest, 3) < LITTLE else ""  # as it is printed
        lines.append(f"| {name} | {' | '.join(cells)} | {mark} |")
    return "\n".join(lines)


def best(found: Mapping[str, Mapping[str, list[Ratio]]]) -> dict[str, float]:
    """By entry: the largest of its ratios."""
    return {
        entry.name: max(r.value for scale in found.values() for r in scale[entry.name])
        for entry in ENTRIES
    }


def main(quick: bool) -> None:
    """Print the table."""
    scales = [PAPER._replace(**SMALL, thin=10_000), LAPTOP._replace(**SMALL)]
    scales = scales if quick else [PAPER, LAPTOP]
    print(page({s.name: census(s, 0.0 if quick else SECONDS[s.name]) for s in scales}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few rows and rounds: no figures")
    main(**vars(parser.parse_args()))
