"""`docs/methods.md`: every method's metadata as one table, so that the page cannot go stale."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from autoloss.method import Method
from autoloss.registry import Entry, discover, load, options_of, project_root, tuning_of
from autoloss.report.escape import markdown
from autoloss.task import Task

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
[statistics.md](statistics.md) for the check). *Tuned*: options that the tuned protocol searches,
beside the learning rate and the weight decay of the model, which it searches for every method.

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
        learns_on = f"{info.learns_on}, by search" if info.searches else info.learns_on
        cells = (
            *(f"`{name}`", *map(markdown, (info.label, info.paper, info.weights, learns_on))),
            *(_parameters(load(name)), _budget(entry)),
            markdown(", ".join(f"{key} {_plain(value)}" for key, value in options.items())),
            markdown(", ".join(tuning_of(info, methods))),
            *(f"`{_relative(entry.file)}`", str(_lines(entry.file))),
        )
        yield "| " + " | ".join(cell or "–" for cell in cells) + " |"


def _parameters(method: type[Method]) -> str:
    counts = [sum(p.numel() for p in method(Task(c)).parameters()) for c in (2, 5)]
    return " / ".join(f"{n:,}" for n in dict.fromkeys(counts))


def _budget(entry: Entry) -> str:
    if entry.info.searches:
        return "a search, then 1 a seed"
    return "2 a seed" if entry.info.refits else "1 a seed"


def _plain(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return "-".join(map(_plain, value)) or "(searched)"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _relative(file: Path) -> Path:
    return file.relative_to(project_root())


def _lines(file: Path) -> int:
    return len(file.read_bytes().splitlines())
