"""`docs/methods.md`: every method's metadata as one table, so that the page cannot go stale."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from autoloss.config import LossOptions
from autoloss.domains import shown
from autoloss.errors import ConfigError
from autoloss.methods.contract import Method
from autoloss.methods.discover import discover
from autoloss.methods.info import Entry
from autoloss.methods.load import load
from autoloss.methods.options import loss_options_of, loss_tuning_of, options_of, tuning_of
from autoloss.project import project_root
from autoloss.report.escape import markdown
from autoloss.study.resolved import plain
from autoloss.task import Task

CANDIDATES = LossOptions().candidates
HEADS = (
    *("method", "label", "citation", "weights", "learns on", "parameters", "budget"),
    *("options", "tuned", "file", "lines"),
)
INTRODUCTION = """# The methods

Written by `autoloss methods --markdown`; do not edit. One file each; its docstring has the
equations and every deviation from the original.

*Weights*: what the candidate losses' weights depend on. *Parameters*: of the weighting, on a click
task and on 5 classes, with the study's four candidates. *Budget*: trainings; a search has
`tuning.trials` x `training.max_epochs` epochs, the same for every search (see
[statistics.md](statistics.md) for the check). *Tuned*: options, and constants of
the losses that it weighs, that the tuned protocol searches, each with its range at the defaults,
beside the learning rate and the weight decay of the model, which it searches for every method
(`tuning.shared`). BOHB and grid search weights with them. `autoloss methods NAME` shows a method's
options as a study has them.

"""


def methods_page() -> str:
    """The page."""
    lines = ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    return INTRODUCTION + "\n".join([*lines, *method_rows()]) + "\n"


def method_rows() -> Iterator[str]:
    """One table row per method, in the order of discovery."""
    methods = discover()
    for name, entry in methods.items():
        info, options = entry.info, options_of(entry.info, {}, methods)
        options |= {f"losses.{k}": v for k, v in loss_options_of(info, methods).items()}
        space = tuning_of(info, methods) | loss_tuning_of(entry, CANDIDATES, methods)
        learns_on = f"{info.learns_on}, by search" if info.searches else info.learns_on
        cells = (
            *(f"`{name}`", *map(markdown, (info.label, info.paper, info.weights, learns_on))),
            *(_parameters(load(name)), _budget(entry)),
            markdown(", ".join(f"{key} {plain(value)}" for key, value in options.items())),
            markdown("; ".join(f"{key} {shown(domain)}" for key, domain in space.items())),
            *(f"`{_relative(entry.file)}`", str(_lines(entry.file))),
        )
        yield "| " + " | ".join(cell or "–" for cell in cells) + " |"


def _parameters(method: type[Method]) -> str:
    try:
        counts = [sum(p.numel() for p in method(Task(c)).parameters()) for c in (2, 5)]
    except ConfigError:  # it depends on the data set, or weighs another candidate
        return ""
    return " / ".join(f"{n:,}" for n in dict.fromkeys(counts))


def _budget(entry: Entry) -> str:
    if entry.info.searches:
        return "a search, then 1 a seed"
    return "2 a seed" if entry.info.refits else "1 a seed"


def _relative(file: Path) -> Path:
    return file.relative_to(project_root())


def _lines(file: Path) -> int:
    return len(file.read_bytes().splitlines())
