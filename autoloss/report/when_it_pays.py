"""`docs/when-it-pays.md`: for whom loss search pays, from the design and the committed run.

The design's predictions are shown whether they came true or not; without a committed run the page
says what is to be run, and what is expected of it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from autoloss.claims.measures import DECIDING
from autoloss.errors import RecordError
from autoloss.metrics import METRICS
from autoloss.report.escape import markdown
from autoloss.report.fidelity import REFERENCE
from autoloss.report.frames import parts_of, read_csv, rows_of
from autoloss.report.regimes import FAILED, FIXED, HELD, OPEN, ORACLE, SEARCH, kind_of, said
from autoloss.report.table import interval
from autoloss.study import identity
from autoloss.study.regimes import Point
from autoloss.study.study import Study

TABLE = REFERENCE / "tables" / "regimes.csv"
FIGURE = Path("figures/reference/laptop/regimes")
FULL_SIZE = Path("results/reference/full-size/runs.json")  # by benchmarks/full_size.py
FULL_SIZE_FIGURE = Path("figures/reference/full-size/full_size.png")
INTRODUCTION = """# When loss search pays

Written by `autoloss when-it-pays`; do not edit. The design, with its predictions, was written
before the runs: `configs/regimes.yaml`. `snakemake --cores all regimes` makes them; how they are
judged is in [statistics.md](statistics.md#where-loss-search-pays).
"""


def when_it_pays_page(root: Path) -> str:
    """The page, of the project at `root`.

    Raises:
        RecordError: the committed table is of another design.
    """
    study = Study.load({}, root)
    file = root / TABLE
    if not file.exists():
        return "\n".join([INTRODUCTION, *_not_yet(study)]) + "\n"
    table = read_csv(file)
    if "design" not in table or (table["design"] != identity.design_key(study)).any():
        problem = "was made of another design than configs/regimes.yaml is now"
        mend = "undo what was changed there, a sentence of a prediction too; or run `snakemake "
        mend += "--cores all regimes`, then `autoloss reference`: what has its run is not run again"
        raise RecordError(str(TABLE), problem, mend)
    gains = table[table["part"] == "map"].astype({"significant": bool})
    predicted = table[table["part"] == "prediction"]
    gains = gains.assign(kind=[kind_of(study, method) for method in gains["method"]])
    parts = [INTRODUCTION, *_decisions(study, gains), *_counts(study, gains)]
    if (root / FIGURE).with_suffix(".png").exists():
        parts += [f"![Where loss search pays](../{FIGURE}.png)\n"]
    parts += _outcomes(study, predicted)
    if (root / FULL_SIZE).exists():
        parts += _at_full_size(json.loads((root / FULL_SIZE).read_text(encoding="utf-8")))
    return "\n".join(parts) + "\n"


def _not_yet(study: Study) -> Iterator[str]:
    """What will be run, and what is expected."""
    cells, seeds = study.cells("regimes"), study.config.study.seeds
    yield (
        f"**Not yet run.** Planned are {len(cells)} cells at {len(study.regimes.points)} points, "
        f"{len(cells) * seeds:,} runs (`autoloss plan regimes` says what they cost). Nothing below "
        "is a result.\n"
    )
    yield "## Predictions\n"
    yield "| prediction | because | expected, at |\n|---|---|---|"
    for prediction in study.regimes.predictions:
        expected = "; ".join(f"{said(study, e)} ({', '.join(e.at)})" for e in prediction.expect)
        yield _line((prediction.statement, prediction.because, expected))


def _decisions(study: Study, gains: pd.DataFrame) -> Iterator[str]:
    """A line for each kind of place: who gains there, and what there is to be found."""
    kinds: dict[str, list[str]] = {}
    for point in study.regimes.points:
        kinds.setdefault(_kind(point), []).append(point.name)
    yield "## Which to reach for\n"
    for kind, points in kinds.items():
        said = f"{len(points)} point{'s' * (len(points) > 1)}"
        for metric, rows in parts_of(gains[gains["point"].isin(points)], "metric"):
            of = {what: rows[rows["kind"] == what] for what in (SEARCH, FIXED, ORACLE)}
            found = [_winners(of[what], what) for what in (SEARCH, FIXED)] + [_headroom(of[ORACLE])]
            yield f"- **{kind}** ({said}), {METRICS[metric].label}: {' '.join(found)}"
    yield ""


def _counts(study: Study, gains: pd.DataFrame) -> Iterator[str]:
    """How often each method gains, and by more than the design finds with some certainty."""
    yield "## At how many points each gains over cross-entropy\n"
    yield (
        "By both tests, corrected. *Resolved* is the smallest true gain that the design finds with "
        "a chance of 0.8: its median over the points.\n"
    )
    columns = ("points", "gains", "more than resolved", "losses", "resolved", "most")
    yield _line(("metric", "method", *columns))
    yield "|---|---|" + "---:|" * 5 + "---|"
    unchanged = gains[~gains["method"].isin(study.regimes.changed)].dropna(subset=["mean"])
    for (metric, label), part in parts_of(unchanged, "metric", "label"):
        gain, loss = (part["significant"] & (sign * part["mean"] > 0) for sign in (1, -1))
        beyond = gain & (part["mean"] > part["resolved"])
        counts = (len(part), gain.sum(), beyond.sum(), loss.sum())
        resolved = f"{part['resolved'].median():.4f}"
        most = max(rows_of(part), key=lambda row: row["mean"])
        said = f"{interval(most).text} with {most['what']}"
        yield _line((METRICS[metric].label, label, *map(str, counts), resolved, said))
    yield ""


def _kind(point: Point) -> str:
    data = "" if point.data == "clicks" else f" ({point.data})"
    if point.positives is not None:
        return f"{'Rare positives' if point.positives < 0.2 else 'Many positives'}{data}"
    if point.noise is None:
        return f"Clean labels{data}"
    where = "in a region" if point.noise.where == "region" else "everywhere"
    also = ", in validation too" if len(point.noise.parts) > 1 else ""
    return f"Labels flipped {where}{also}{data}"


def _winners(rows: pd.DataFrame, what: str) -> str:
    """The methods that gain at some of the points, the one that gains most often first."""
    own = rows.dropna(subset=["mean"])
    if own.empty:
        return f"No {what} was run."
    won = own[own["significant"] & (own["mean"] > 0)]
    if won.empty:
        return f"No {what} gains; nearest is {_best(own)}."
    by_method = sorted(parts_of(won, "method"), key=lambda item: -len(item[1]))
    run = own["method"].value_counts()
    each = (f"{_best(part)}, at {len(part)} of {run[name]}" for name, part in by_method)
    return f"A {what} gains: {'; '.join(each)}."


def _headroom(rows: pd.DataFrame) -> str:
    """What is given the answer gains: without that there is nothing to be found."""
    oracles = rows.dropna(subset=["mean"])
    return f"Headroom: {_best(oracles)}." if len(oracles) else "Headroom: no oracle was run."


def _best(rows: pd.DataFrame) -> str:
    """The largest gain, with its interval, and where it is."""
    row = max(rows_of(rows), key=lambda row: row["mean"])
    return markdown(f"{row['label']} {interval(row).text} with {row['what']}")


def _outcomes(study: Study, predicted: pd.DataFrame) -> Iterator[str]:
    """Every prediction with what came of it."""
    whole = predicted.drop_duplicates("prediction")["as_a_whole"]
    counts = ", ".join(f"{int((whole == word).sum())} {word}" for word in (HELD, FAILED, OPEN))
    yield f"## Predictions: {counts}\n"
    yield _line(("prediction", "outcome", "expected", "at", "found"))
    yield "|" + "---|" * 5
    statements = {p.name: p.statement for p in study.regimes.predictions}
    for name, part in parts_of(predicted, "prediction"):
        yield _line((statements[name], part["as_a_whole"].iloc[0], "", "", ""))
        for row in rows_of(part):
            found = interval(row).text
            yield _line(("–", row["outcome"], row["expected"], row["point"], found))


def _at_full_size(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each run at the paper's size, and their figure."""
    yield "\n## At the paper's size\n"
    yield (
        f"Trained on {runs[0]['rows']['train']:,} rows "
        "([how](running.md#the-papers-size-with-flipped-labels)). Weights are of the candidate "
        "with most of it in the region, after the best epoch, means of 500,000 validation rows.\n"
    )
    columns = ("method", "seed", "test AUC", "log loss, recal.", "best epoch", "hours", "GB")
    yield _line((*columns, "most in the region", "there", "elsewhere"))
    yield "|---|" + "---:|" * 6 + "---|---:|---:|"
    for run in runs:
        test, cost = run["metrics"]["test"], run["budget"]
        numbers = [f"{test[metric]:.4f}" for metric in DECIDING]
        numbers += [str(cost["best_epoch"]), f"{cost['seconds'] / 3600:.2f}"]
        numbers.append(f"{cost['peak_memory_mb'] / 1000:.1f}")
        weights = ["", "", ""]
        for seen in run["regions"]:
            if seen["epoch"] == cost["best_epoch"]:
                inside, outside = (seen[where]["all"] for where in ("inside", "outside"))
                most = max(inside, key=lambda name: inside[name])
                weights = [most, f"{inside[most]:.2f}", f"{outside[most]:.2f}"]
        yield _line((run["label"], str(run["seed"]), *numbers, *weights))
    yield f"\n![By epoch: validation AUC, and weights by region](../{FULL_SIZE_FIGURE})"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(markdown, cells)) + " |"
