"""`docs/fidelity.md`: what the paper and the baselines' papers say, and what is done here.

The rows are those of the files' `info`, and of `STUDY` for what belongs to no file. What a small
study departs in is the difference of the scales' configurations, and what that changes is read from
the committed reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from autoloss.config import flat, load_config
from autoloss.fidelity import NO_TRANSFER, STANDINGS, Statement
from autoloss.folder import entries
from autoloss.methods.info import OWN
from autoloss.methods.options import options_of
from autoloss.report.escape import markdown
from autoloss.report.frames import parts_of, read_csv, rows_of
from autoloss.report.table import interval
from autoloss.study.selection import PLACEMENT
from autoloss.study.study import PAPER, Study
from autoloss.study.variants import load_sensitivity

SMALL = "laptop"  # the scale that the committed reference is of
REFERENCE = Path("results/reference") / SMALL
OWN_PLACE = {"scale", "study.name", "study.seeds_per_job", *(f"training.{p}" for p in PLACEMENT)}
OPTION, NOT_MEASURED = "option, not default", "not measured"
HEADS = ("aspect", "where", "the source", "here", "")
INTRODUCTION = """# Fidelity

Written by `autoloss fidelity`; do not edit. Where the paper says it, it is done; where it is silent
the original's way is taken, or ours where there is none. What is done for convenience is an option,
and at the paper scale never the default. Sections and equations are the AutoLoss paper's, or those
of the work named before them; *code* is a work's official code. Reasons and keys:
[deviations.md](deviations.md), to whose row the last column leads where there is one.
"""
STUDY = tuple(
    Statement(*row)
    for row in (
        (
            "hyper-parameters",
            "§3.3 (c)",
            "tuned for every method; ranges and budgets are not said",
            "our reading",
            "the papers' values; protocol tuned: every method at one budget",
            "B6",
        ),
        (
            "optimiser",
            "§3.3",
            "Adam, learning rate 0.001, batches of 2000",
            "as written",
            "the same",
            "T3",
        ),
        (
            "epochs and stopping",
            "pytorch-fm, code",
            "patience 2 on validation AUC, the best weights kept",
            "original's way",
            "the same",
            "T2",
        ),
        (
            "weight decay",
            "§3.3",
            "not said; pytorch-fm has 1e-6",
            "our reading",
            "none; the tuned protocol searches it",
            "T2",
        ),
        (
            "use of validation data",
            "§2.5",
            "V learns on them; no more is said",
            "our reading",
            "the same split stops and calibrates",
            "D8",
        ),
        (
            "validation in halves",
            "§2.5",
            "not said",
            {"training.validation": "halves"},
            "a half to learn on, the other to stop and calibrate",
            "D8",
        ),
        (
            "split",
            "AutoDim; pytorch-fm, code",
            "80/10/10 at random",
            "original's way",
            "the same",
            "D2",
        ),
        (
            "numeric fields",
            "pytorch-fm, code",
            "v > 2 becomes the floor of (ln v)²",
            "original's way",
        ),
        (
            "rare values",
            "pytorch-fm, code",
            "folded below 10 occurrences, over all rows",
            "our reading",
            "over the training split alone",
            "D4",
        ),
        (
            "half stars as 5 classes",
            "§3.2",
            "5 classes, not said how",
            "our reading",
            "rounded up",
            "D3",
        ),
        ("metrics", "§3.2", "AUC and log loss", "as written", "the same, on the test split"),
        (
            "AUC of 5 classes",
            "§3.2",
            "one against the rest, average not said",
            "our reading",
            "the plain mean over classes",
            "D5",
        ),
        (
            "recalibrated log loss",
            "§3.2",
            "not said",
            "our reading",
            "beside the raw one; none for a run that trained on validation",
            "D6",
        ),
        (
            "significance",
            "§3.4",
            "two-sided t-test against the best baseline, p < 0.05",
            "no transfer",
            "sign-flip test and t test corrected for overlapping splits: both, each after Holm",
            "D7",
        ),
        (
            "frequencies",
            "§3.7",
            "f = 1, 3, 7, 10, 13 with DeepFM on Criteo",
            "as written",
            "the same",
            "F4",
        ),
    )
)


def fidelity_page(root: Path) -> str:
    """The page, of the project at `root`."""
    return "\n".join(_Page(root).parts())


class _Page:
    """What the page is made of: the paper's scale, the small one, and the reference's numbers."""

    def __init__(self, root: Path) -> None:
        self.root, self.study = root, Study.load({"scale": PAPER}, root)

    def parts(self) -> Iterator[str]:
        """The sections, one string each."""
        yield INTRODUCTION
        yield "## Training and evaluation\n"
        yield _table(STUDY)
        yield "## Methods\n"
        methods = self.study.methods.values()
        for info in sorted((e.info for e in methods), key=lambda info: info.name != OWN):
            base = f", based on {self.study.label(info.base)}" if info.base else ""
            yield from _section(info.label, f"`{info.name}`{base}", info.fidelity)
        for room, title in (("models", "Models"), ("losses", "Candidate losses")):
            yield f"## {title}\n"
            for name, entry in entries(room).items():
                yield from _section(entry.label, f"`{name}`", entry.fidelity)
        yield "## What a small study departs in\n"
        yield (
            f"The configurations of the scales `{PAPER}` and `{SMALL}` differ in these keys. The "
            f"effect is that of the paper's value at the scale `{SMALL}`: the change of AutoLoss' "
            "test AUC with its interval, by data set, from the committed reference.\n"
        )
        yield _rows(("key", f"`{PAPER}`", f"`{SMALL}`", "effect"), self.departures())
        yield "## What of the originals does not transfer\n"
        yield (
            "The effect is that of the original's way, where a method has it: the difference in "
            "mean test AUC, by data set and model, from the committed reference.\n"
        )
        yield _rows(("", "aspect", "the original", "here", "effect"), self.not_transferred())

    def departures(self) -> Iterator[Sequence[str]]:
        """Each key in which the scales differ, both values, and what the paper's changes.

        An option that several methods have with the same two values is one row.
        """
        paper, small = (self._flat(scale) for scale in (PAPER, SMALL))
        alike: dict[tuple[str, str, str], list[str]] = {}
        for key in dict.fromkeys((*paper, *small)):
            theirs, ours = self._value(paper, key), self._value(small, key)
            if theirs != ours and key not in OWN_PLACE:
                name = key.rpartition(".")[2] if key.startswith("methods.") else key
                alike.setdefault((name, _plain(theirs), _plain(ours)), []).append(key)
        for (_, theirs, ours), keys in alike.items():
            effects = [effect for key in keys if (effect := self._effect(key, paper))]
            shown = ", ".join(f"`{key}`" for key in keys)
            yield shown, theirs, ours, "; ".join(effects) or NOT_MEASURED

    def not_transferred(self) -> Iterator[Sequence[str]]:
        """Each row that says so, and what the original's values change."""
        named = [(entry.info.label, entry.info) for entry in self.study.methods.values()]
        for label, method, row in [
            *(("", "", row) for row in STUDY),
            *((label, info.name, row) for label, info in named for row in info.fidelity),
        ]:
            if row.standing == NO_TRANSFER:
                texts = (label, row.aspect, f"{row.source} ({row.where})", row.here)
                yield *map(markdown, texts), self._effect_of_original(method, row.aspect)

    def _flat(self, scale: str) -> dict[str, Any]:
        return dict(flat(load_config({"scale": scale}, self.root).model_dump(mode="json")))

    def _value(self, config: Mapping[str, Any], key: str) -> Any:
        """What a configuration has for a key, for a method's option its default if nothing."""
        if key in config or not key.startswith("methods."):
            return config.get(key)
        _, method, option = key.split(".")
        return options_of(self.study.methods[method].info, {}, self.study.methods)[option]

    def _effect(self, key: str, paper: Mapping[str, Any]) -> str:
        """Of the reading that sets a key, and nothing else than the paper's values; or nothing."""
        for reading in load_sensitivity(self.root, self.study.methods).readings:
            changed = dict(flat(reading.set))
            as_paper = all(self._value(paper, k) == value for k, value in changed.items())
            rows = self._readings[self._readings["reading"] == reading.name]
            each = [
                f"{row['dataset']} {interval(row).text}"
                for row in rows_of(rows[rows["metric"] == "auc"])
            ]
            if key in changed and as_paper and each:
                return f"{markdown(', '.join(each))} ({_row_of(reading.choice)})"
        return ""

    def _effect_of_original(self, method: str, aspect: str) -> str:
        """Of the method that is based on this one and has a row of the aspect: its mean AUC
        minus this one's, by data set and model."""
        each = []
        for other, info in ((name, entry.info) for name, entry in self.study.methods.items()):
            if info.base == method and aspect in [row.aspect for row in info.fidelity]:
                for (dataset, model), cell in parts_of(self._runs, "dataset", "model"):
                    mean = cell.groupby("method")["auc"].mean()
                    if {method, other} <= set(mean.index):
                        each.append(f"{dataset}/{model} {mean[other] - mean[method]:+.4f}")
        return markdown(", ".join(each)) or NOT_MEASURED

    @cached_property
    def _readings(self) -> pd.DataFrame:
        return self._read("tables/sensitivity.csv", "reading", "metric")

    @cached_property
    def _runs(self) -> pd.DataFrame:
        return self._read("runs.csv", "dataset", "model", "method", "auc")

    def _read(self, name: str, *columns: str) -> pd.DataFrame:
        """A file of the reference; empty where there is none."""
        file = self.root / REFERENCE / name
        return read_csv(file) if file.exists() else pd.DataFrame(columns=list(columns))


def _row_of(choice: str) -> str:
    return f"[{choice}](deviations.md#{choice.lower()})"


def _section(label: str, about: str, statements: Sequence[Statement]) -> Iterator[str]:
    if statements:
        yield f"### {markdown(label)}\n\n{about}\n"
        yield _table(statements)


def _table(statements: Sequence[Statement]) -> str:
    rows = (
        (*map(markdown, (row.aspect, row.where, row.source, row.here)), standing_of(row))
        for row in statements
    )
    return _rows(HEADS, rows)


def standing_of(statement: Statement) -> str:
    """How the two stand to each other, of an option its key and value too, and a link to why."""
    link = f" ({_row_of(statement.deviation)})" if statement.deviation else ""
    if isinstance(statement.standing, str):
        return STANDINGS[statement.standing] + link
    options = ", ".join(f"`{key}: {_plain(v)}`" for key, v in statement.standing.items())
    return f"{OPTION} ({options}){link}"


def _rows(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, Mapping):
        return "/".join(map(str, value.values()))
    return f"{value:g}" if isinstance(value, float) else str(value)
