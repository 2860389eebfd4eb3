"""Two studies side by side: runs of one cell, seed, split and data are pairs, tested as any.

The studies are read from their folders alone, as records: what differs between them is what the
runs say of their configuration, code, data and machine. The family of comparisons is every cell of
which both have runs on the same rows, but for cells that are the same runs in both: of one
configuration, code and data, to the bit. These ask nothing.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from autoloss.config import StatisticsOptions, flat, load_config
from autoloss.errors import RecordError, UserError, did_you_mean
from autoloss.metrics import METRICS
from autoloss.project import project_root
from autoloss.records.index import row_of
from autoloss.records.schema import Record
from autoloss.records.store import MEND, read_record
from autoloss.report.frames import parts_of, rows_of
from autoloss.report.tables._methods import overlap_notes
from autoloss.stats import compare_family, describe, splits_of
from autoloss.study.cell import Cell
from autoloss.study.groups import GROUPS
from autoloss.study.study import Study

Run = tuple[Cell, int]
BESIDE_RUNS = ("scale", "protocol", "study", "tuning", "statistics")  # in no record's configuration
COLUMNS = [  # of the comparisons: the second study's gain over the first
    *("dataset", "model", "method", "metric", "n", "first", "first_sd", "second", "second_sd"),
    *("gain", "sd", "low", "high", "p_permutation", "p_holm", "p_t", "p_t_holm"),
    *("comparisons", "verdict"),
]
SHOWN = 5  # cells that a line names
PROVISIONAL = "†"  # behind a verdict: of a study that is unfinished
WIDTH = 200  # no verdict is cut, on a narrow terminal lines go on below


@dataclass(frozen=True)
class Made:
    """A study as its folder has it; `config` is what it was last run with, where that is there."""

    name: str
    records: Mapping[Run, Record]
    config: Mapping[str, Any]

    @property
    def cells(self) -> list[Cell]:
        """The cells of its runs, each once."""
        return list(dict.fromkeys(cell for cell, _ in self.records))


@dataclass(frozen=True)
class Difference:
    """In what two studies differ: of what kind, in what, the two values, and of which cells."""

    kind: str
    what: str
    first: str
    second: str
    cells: tuple[str, ...] = ()


@dataclass(frozen=True)
class SideBySide:
    """Two studies, what differs, and what the second gains over the first.

    `comparisons` has the columns `COLUMNS`, gains in the metric's good direction; `same` are cells
    whose runs are the same in both, `unpaired` says why other runs stand in no comparison,
    `unfinished` what a study has not run yet, `overlap` how far the tests are right over splits.
    """

    first: str
    second: str
    differences: Sequence[Difference]
    same: Sequence[str]
    unpaired: Sequence[str]
    unfinished: Sequence[str]
    overlap: Sequence[str]
    alpha: float
    confidence: float
    comparisons: pd.DataFrame


def read_made(name: str) -> Made:
    """The study of a name below `results/`, or of any folder of results.

    Raises:
        RecordError: there is none, or a record of it is damaged or in another's place.
    """
    named = Path("results") / name
    folder = next((f for f in (named, Path(name)) if (f / "runs").is_dir()), named)
    if not folder.is_dir():
        known = [runs.parent.name for runs in Path("results").glob("*/runs")]
        mend = f"give a study's name, or a folder that has runs/ in it; {did_you_mean(name, known)}"
        raise RecordError(name, "is no study that has runs", mend)
    records: dict[Run, Record] = {}
    for file in sorted(folder.glob("runs/*/*/*/seed_*.json")):
        record = read_record(file)
        cell = Cell(record.dataset, record.model, record.method)
        if (str(cell), f"seed_{record.seed}.json") != ("/".join(file.parts[-4:-1]), file.name):
            raise RecordError(str(file), f"is the record of {cell} seed {record.seed}", MEND)
        records[cell, record.seed] = record
    if not records:
        raise RecordError(str(folder), "has no finished run", "run it first, or wait for it")
    return Made(name, records, _config(folder / "config.json"))


def side_by_side(first: Made, second: Made) -> SideBySide:
    """What the second study gains over the first, and what differs between them.

    Raises:
        RecordError: no run of one has a pair in the other; the message says why.
    """
    common = [run for run in first.records if run in second.records]
    reasons = {run: _why_no_pair(first.records[run], second.records[run]) for run in common}
    pairs = [run for run in common if not reasons[run]]
    if not pairs:
        raise _nothing_pairs(first, second, reasons.values())
    cells = dict.fromkeys(cell for cell, _ in pairs)
    same = [
        cell
        for cell in cells
        if all(_same(first.records[r], second.records[r]) for r in pairs if r[0] == cell)
    ]
    asked = [run for run in pairs if run[0] not in same]
    options, index = _statistics(first), _index(first, second, asked)
    return SideBySide(
        first=first.name,
        second=second.name,
        differences=list(_differences(first, second, pairs)),
        same=[str(cell) for cell in same],
        unpaired=list(_unpaired(first, second, reasons)),
        unfinished=[line for made in (first, second) for line in _unfinished(made)],
        overlap=list(overlap_notes(splits_of(cell) for _, cell in _places(index))),
        alpha=options.alpha,
        confidence=options.confidence,
        comparisons=_comparisons(index, options),
    )


def _config(file: Path) -> Mapping[str, Any]:
    """What a study was last run with; nothing where that is not recorded."""
    try:
        config = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _statistics(made: Made) -> StatisticsOptions:
    """The options of the tests: the first study's, the usual ones where it has recorded none."""
    usual = load_config({}, project_root()).statistics.model_dump()
    own = made.config.get("statistics", {})
    return StatisticsOptions.model_validate(usual | {k: v for k, v in own.items() if k in usual})


def _same(one: Record, other: Record) -> bool:
    """Whether two records are of one run; another machine may have given it other bits."""
    return (one.run_id, one.digest) == (other.run_id, other.digest)


def _why_no_pair(one: Record, other: Record) -> str:
    """Why two runs of a cell and seed are no pair; nothing where they are on the same rows."""
    if one.split != other.split:
        return "on other splits"
    if one.provenance.data_hash != other.provenance.data_hash:
        return "on other data"
    return ""


def _nothing_pairs(first: Made, second: Made, reasons: Iterable[str]) -> RecordError:
    where, counts = f"{first.name} and {second.name}", Counter(reasons)
    mend = "compare studies whose runs are of the same cells, seeds, splits and prepared data"
    if counts:
        why = " and ".join(f"{count} {reason}" for reason, count in counts.items())
        return RecordError(
            where, f"have no pair of runs: of those of one cell and seed, {why}", mend
        )
    if not {*first.cells} & {*second.cells}:
        return RecordError(where, "have no cell in common (data set, model and method)", mend)
    seeds = (sorted({seed for _, seed in made.records}) for made in (first, second))
    shown = " and ".join(f"{s[0]} to {s[-1]}" for s in seeds)
    return RecordError(where, f"have no seed of a common cell in common: {shown}", mend)


def _unpaired(first: Made, second: Made, reasons: Mapping[Run, str]) -> Iterator[str]:
    """Sentences on the runs that stand in no comparison."""
    for reason, count in Counter(filter(None, reasons.values())).items():
        yield f"{count} runs of one cell and seed are {reason}, and no pairs."
    for made, other in ((first, second), (second, first)):
        alone = [run for run in made.records if run not in other.records]
        cells = [cell for cell in made.cells if cell not in other.cells]
        if alone:
            within = len(alone) - sum(run[0] in cells for run in alone)
            seeds = [f"{within} of seeds that {other.name} has not"] if within else []
            own = [f"of {_some(map(str, cells))}"] if cells else []
            yield f"{len(alone)} runs are in {made.name} alone: {'; '.join(own + seeds)}."


def _unfinished(made: Made) -> Iterator[str]:
    """A sentence per table or figure that a study has begun, as far as its record says, and lacks.

    What was asked for no record says: a group is begun if it has a run that is of none before it
    and of none that is whole.
    """
    if not made.config:
        return
    try:
        study = Study(load_config(made.config, project_root()), project_root())
        asked = {g: [(c, s) for c in study.cells(g) for s in study.seeds] for g in GROUPS}
    except UserError:
        yield f"Whether {made.name} is finished cannot be told: it is of another version."
        return
    explained = {run for of in asked.values() if made.records.keys() >= {*of} for run in of}
    for group, of in asked.items():
        there = [run for run in of if run in made.records]
        if {*there} <= explained:
            continue
        explained |= {*there}
        has, due = (Counter(cell.method for cell, _ in runs) for runs in (there, of))
        none = [method for method in due if not has[method]]
        part = [method for method in due if 0 < has[method] < due[method]]
        lacks = [f"no run of {', '.join(none)}"] * bool(none)
        lacks += [f"not all of {', '.join(part)}"] * bool(part)
        yield (
            f"{made.name} is unfinished: of {group} it has {len(there)} of {len(of)} runs, "
            f"{' and '.join(lacks)}."
        )


def _index(first: Made, second: Made, runs: Sequence[Run]) -> pd.DataFrame:
    """A row per run; every cell is a place of its own, the studies are its methods."""
    rows = [
        {**row_of(made.records[cell, seed]), "model": f"{cell.model}/{cell.method}", "method": k}
        for cell, seed in runs
        for k, made in (("first", first), ("second", second))
    ]
    return pd.DataFrame(rows)


def _places(index: pd.DataFrame) -> list[tuple[Any, pd.DataFrame]]:
    """The rows of each cell."""
    return [] if index.empty else list(parts_of(index, "dataset", "model"))


def _comparisons(index: pd.DataFrame, options: StatisticsOptions) -> pd.DataFrame:
    """A row per cell and metric."""
    if index.empty:
        return pd.DataFrame(columns=COLUMNS)
    found = compare_family(
        index,
        ["second"],
        list(METRICS),
        alpha=options.alpha,
        confidence=options.confidence,
    )
    means = describe(index, list(METRICS))
    keys = ["dataset", "model", "metric"]
    for name in ("first", "second"):
        own = means[means["method"] == name][[*keys, "mean", "sd"]]
        own = own.rename(columns={"mean": name, "sd": f"{name}_sd"})
        found = found.merge(own, on=keys, how="left")
    found[["model", "method"]] = found["model"].str.split("/", n=1, expand=True)
    return found[COLUMNS]


def _differences(first: Made, second: Made, pairs: Sequence[Run]) -> Iterator[Difference]:
    """Configuration, code, data and machine, in this order."""
    both = (first, second)
    yield from _of_cells("configuration", both, pairs, _run_options)
    recorded = [
        dict(flat({part: made.config[part] for part in BESIDE_RUNS if part in made.config}))
        for made in both
        if made.config
    ]
    if len(recorded) == 2:  # one that no workflow has made has none
        for key in dict.fromkeys((*recorded[0], *recorded[1])):
            one, other = (values.get(key) for values in recorded)
            if one != other and key != "study.name":
                yield Difference("configuration", key, _text(one), _text(other))
    yield from _of_cells("code", both, pairs, lambda r: {f"of {r.method}": r.provenance.code})
    hashes = [
        {f"{r.dataset} split {r.split}": r.provenance.data_hash[:16] for r in made.records.values()}
        for made in both
    ]
    for name in hashes[0]:
        if hashes[1].get(name, hashes[0][name]) != hashes[0][name]:
            yield Difference("data", name, hashes[0][name], hashes[1][name])
    machines = [_machine(made.records[run] for run in pairs) for made in both]
    for key in dict.fromkeys((*machines[0], *machines[1])):
        one, other = (", ".join(machine.get(key, [])) for machine in machines)
        if one != other:
            kind = "code" if key in ("commit", "uncommitted changes") else "machine"
            yield Difference(kind, key, one, other)


def _of_cells(
    kind: str,
    both: tuple[Made, Made],
    pairs: Sequence[Run],
    values_of: Callable[[Record], Mapping[str, Any]],
) -> Iterator[Difference]:
    """What runs of a pair differ in, with the cells: pairs that differ alike are one difference."""
    cells: dict[tuple[str, str, str], dict[str, None]] = {}
    for run in pairs:
        one, other = (values_of(made.records[run]) for made in both)
        for key in dict.fromkeys((*one, *other)):
            if one.get(key) != other.get(key):
                difference = key, _text(one.get(key)), _text(other.get(key))
                cells.setdefault(difference, {})[str(run[0])] = None
    for difference, own in cells.items():
        yield Difference(kind, *difference, tuple(own))


def _run_options(record: Record) -> dict[str, Any]:
    """A run's configuration by dotted key; a key that hashes code and options is left out."""
    return {key: v for key, v in flat(record.config) if key != "controller.run_key"}


def _machine(records: Iterable[Record]) -> dict[str, list[str]]:
    """What runs were made with and on: every value that occurs, sorted, by property."""
    values: dict[str, set[str]] = {}
    for record in records:
        about = record.provenance
        state = {"commit": about.commit, "uncommitted changes": about.dirty}
        with_what = {"threads": about.threads, "lock file": (about.lock_hash or "")[:16]}
        for key, value in {**state, **about.hardware, **about.versions, **with_what}.items():
            values.setdefault(key.replace("_", " "), set()).add(_text(value))
    return {key: sorted(found) for key, found in values.items()}


def _text(value: Any) -> str:
    """A value in a word or two; a dash where there is none."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value)) or "none"
    return "–" if value is None else str(value)


def _some(names: Iterable[str]) -> str:
    first, more = [*names], ""
    if len(first) > SHOWN:
        first, more = first[:SHOWN], f" and {len(first) - SHOWN} more"
    return ", ".join(first) + more


def as_json(both: SideBySide) -> dict[str, Any]:
    """All of it for machines; a number that is not to be had is null."""
    rows = [
        {key: None if pd.isna(value) else value for key, value in row.items()}
        for row in rows_of(both.comparisons)
    ]
    about = {key: value for key, value in vars(both).items() if key != "comparisons"}
    about["differences"] = [vars(difference) for difference in both.differences]
    return {**about, "comparisons": rows}


def lines_of(both: SideBySide) -> Iterator[str]:
    """What differs, and what stands in no comparison, in lines."""
    yield f"{both.second} against {both.first}"
    yield "What differs:" if both.differences else "Nothing differs."
    for d in both.differences:
        of = f" ({_some(d.cells)})" if d.cells else ""
        yield f"  {d.kind}: {d.what}: {d.first or '–'} | {d.second or '–'}{of}"
    if both.same:
        yield f"The same runs in both, not compared: {_some(both.same)}."
    yield from both.unpaired
    yield from both.unfinished


def table_rows(both: SideBySide) -> list[dict[str, str]]:
    """The comparisons as a terminal shows them."""
    level = f"{both.confidence * 100:g} % interval"
    return [
        {
            "cell": f"{row['dataset']}/{row['model']}/{row['method']}",
            "metric": METRICS[row["metric"]].label,
            both.first: _mean(row["first"], row["first_sd"]),
            both.second: _mean(row["second"], row["second_sd"]),
            "gain": "–" if pd.isna(row["gain"]) else f"{row['gain']:+.4f}",
            level: "–" if pd.isna(row["low"]) else f"{row['low']:+.4f} to {row['high']:+.4f}",
            "p": _p(row["p_holm"], row["p_t_holm"]),
            "pairs": str(row["n"]),
            "verdict": str(row["verdict"]) + f" {PROVISIONAL}" * bool(both.unfinished),
        }
        for row in rows_of(both.comparisons)
    ]


def _mean(mean: float, sd: float) -> str:
    if pd.isna(mean):
        return "failed"
    return f"{mean:.4f}" + ("" if pd.isna(sd) else f" ± {sd:.4f}")


def _p(*both: float) -> str:
    """The larger of the two corrected p, by which a difference is shown or not."""
    known = [p for p in both if not pd.isna(p)]
    return f"{max(known):.4f}" if known else "–"


def note_of(both: SideBySide) -> str:
    """What the numbers are."""
    if both.comparisons.empty:
        return "Every pair is the same run in both: nothing is compared."
    sizes = sorted({int(m) for m in both.comparisons["comparisons"]}, reverse=True)
    family = f"{' or '.join(map(str, sizes))} comparison{'s' * (sizes != [1])}"
    sentences = [
        f"Gain of {both.second} over {both.first}, better is more, paired by seed on the same rows;"
        " p is the larger of the sign-flip test's and the corrected resampled t test's, each"
        f" Holm-corrected over {family} by a metric, significant below {both.alpha:g}"
        " (docs/statistics.md).",
        *both.overlap,
    ]
    if both.unfinished:
        sentences.append(
            f"{PROVISIONAL} Provisional: a study is unfinished. The family is of the runs that "
            "there are, so smaller than it will be, and each corrected p with it."
        )
    return " ".join(sentences)
