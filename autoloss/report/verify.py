"""Does a new run agree with the reference? To the bit, or in its means (docs/statistics.md).

The same code, data, versions and processor promise the same bits: every run's digest must be equal,
wherever it was made, and what is derived from it within DERIVED_LIMIT. Where digests differ on
another machine, rounding did, and training amplified it: then each cell's mean must lie within the
limits of Welch's t-test, so narrow that a faithful rerun is flagged, over all numbers, with
probability FALSE_ALARM.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from autoloss.errors import RecordError
from autoloss.metrics import METRICS
from autoloss.records.index import CELL, RUN, lacks
from autoloss.report.frames import read_csv
from autoloss.report.reference import all_runs, origin, reference_folders
from autoloss.study.study import Study
from autoloss.target import snakemake

FALSE_ALARM = 0.01
# Absolute, as L-BFGS stops by absolute changes of a log loss below 1 (docs/reliability.md).
DERIVED_LIMIT = 1e-9
ENDS = ("digest", "status")  # what a run came to


@dataclass(frozen=True)
class Verification:
    """How many numbers were compared, to the bit or not and why, and each that is off.

    `chose_otherwise` names cells whose search chose other values than the reference's, as it may
    where rounding differs: their runs are of another configuration, and are not compared.
    """

    exact: bool
    why: str
    compared: int
    missing: int
    off: list[str]
    chose_otherwise: list[str]


def verify(study: Study) -> Verification:
    """Compare the study's runs with the reference of its scale.

    Raises:
        RecordError: there is no reference of this scale, or nothing of it was made here.
    """
    folder, _ = reference_folders(study)
    for file in ("runs.csv", "provenance.json"):
        if not (folder / file).exists():
            problem = f"no reference is there: it has no {file}"
            mend = "verify a scale that has one, or write one with `autoloss reference`"
            raise RecordError(str(folder), problem, mend)
    theirs = read_csv(folder / "runs.csv")
    ours = all_runs(study)
    about = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
    here = origin(study, ours)
    differs = _differences(here, about)
    both = theirs.merge(ours, on=RUN, how="left", suffixes=("_theirs", ""), indicator=True)
    missing = int((both["_merge"] == "left_only").sum())
    both = both[both["_merge"] == "both"]
    if both.empty:
        raise _nothing(study, "no run of the reference has been made here")
    odd = _other_runs(both)
    if not differs or not odd.any():
        why = "same code, data and machine class"
        if differs:
            why = f"no digest differs, with other {', '.join(differs)}"
        return Verification(
            True, why, len(both), missing, _bits(both[odd | _derived_off(both)]), []
        )
    apart = _chose_otherwise(here["searches"], about["searches"])
    compared, off = _means(theirs, ours, apart)
    if not compared:
        raise _nothing(study, "every search chose otherwise than the reference's")
    return Verification(False, "other " + ", ".join(differs), compared, missing, off, apart)


def _nothing(study: Study, why: str) -> RecordError:
    """For a comparison of nothing, which is no agreement."""
    mend = f"make the study as the reference was made, with `{snakemake(study)}`"
    return RecordError(str(study.results), f"nothing can be compared: {why}", mend)


def _differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """What stands against equal bits."""
    differing = [key for key in ("versions", "threads") if ours[key] != theirs[key]]
    differing += [key for key in ("code", "data_hash") if _conflict(ours[key], theirs[key])]
    machines = [
        {(h["device"], h["cpu"], h.get("instructions")) for h in about["hardware"]}
        for about in (ours, theirs)
    ]
    return differing + (["processor"] if machines[0] != machines[1] else [])


def _chose_otherwise(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """The searched cells of both whose searches chose differently."""
    both = sorted(ours.keys() & theirs.keys())
    return [cell for cell in both if ours[cell]["chosen"] != theirs[cell]["chosen"]]


def _conflict(ours: dict[str, str], theirs: dict[str, str]) -> bool:
    return any(ours[key] != theirs[key] for key in ours.keys() & theirs.keys())


def _other_runs(both: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which runs came to another end or to other bits; failed ones have no digest."""
    pairs = [(both[key].fillna(""), both[f"{key}_theirs"].fillna("")) for key in ENDS]
    return np.asarray(np.any([a != b for a, b in pairs], axis=0))


def _derived_off(both: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which runs have a number beyond the limit, derived or not what its digest is of."""
    pairs = [(both[name], both[f"{name}_theirs"]) for name in METRICS]
    near = [np.isclose(a, b, rtol=0, atol=DERIVED_LIMIT, equal_nan=True) for a, b in pairs]
    return np.asarray(~np.all(near, axis=0))


def _bits(odd: pd.DataFrame) -> list[str]:
    """Each run that is off, with its numbers that differ."""
    lines = []
    for row in odd.to_dict("records"):
        name = f"{row['dataset']}/{row['model']}/{row['method']} seed {row['seed']}"
        pairs = [(METRICS[m].label, row[m], row[f"{m}_theirs"]) for m in METRICS]
        numbers = ", ".join(
            f"{label} {a!r}, not {b!r}" for label, a, b in pairs if repr(a) != repr(b)
        )
        lines.append(f"{name}: {numbers or 'other weights at equal test metrics'}")
    return lines


def _means(
    theirs: pd.DataFrame, ours: pd.DataFrame, apart: Collection[str]
) -> tuple[int, list[str]]:
    """By cell and metric, but for cells `apart`; how many, and which are beyond limits."""
    here = dict(list(ours.groupby(CELL, sort=False)))
    cells = [
        ("/".join(map(str, key)), metric, rows[metric].dropna(), here[key][metric].dropna())
        for key, rows in theirs.groupby(CELL, sort=False)
        if key in here and "/".join(map(str, key)) not in apart
        for metric in METRICS
        if not (lacks(rows, metric) and lacks(here[key], metric))
    ]
    off = []
    for name, metric, a, b in cells:
        if len(b) != len(a) or len(b) < 2:
            off.append(f"{name}: {len(b)} runs with {METRICS[metric].label}, not {len(a)}")
            continue
        limit = _limit(a, b, FALSE_ALARM / len(cells))
        if abs(b.mean() - a.mean()) > limit:
            off.append(
                f"{name}: mean {METRICS[metric].label} {b.mean():.5f}, "
                f"the reference has {a.mean():.5f}, limit ± {limit:.5f}"
            )
    return len(cells), off


def _limit(a: pd.Series[float], b: pd.Series[float], alpha: float) -> float:
    """Half-width of Welch's interval for the difference of two means."""
    parts = np.array([a.var() / len(a), b.var() / len(b)])
    if parts.sum() == 0:
        return 0.0
    freedom = parts.sum() ** 2 / (parts**2 / (np.array([len(a), len(b)]) - 1)).sum()
    return float(stats.t.isf(alpha / 2, freedom) * np.sqrt(parts.sum()))
