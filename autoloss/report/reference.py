"""The reference: what a laptop run came to, committed, shown in the README, and verified against.

`results/reference/<name>` has a run's tables, statistics, budgets and one row per run;
`figures/reference/<name>` its figures.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from autoloss.errors import RecordError
from autoloss.metrics import METRICS
from autoloss.records.index import RUN, build_index
from autoloss.records.schema import Record
from autoloss.records.store import read_record, read_search, write_text
from autoloss.registry import FULL, GROUPS
from autoloss.report.frames import cell_of, rows_of
from autoloss.report.products import made
from autoloss.study import Study
from autoloss.target import snakemake

KEPT = [*RUN, "status", "run_id", *METRICS, "best_epoch", "epochs", "digest"]
SHOWN = ("table_2", "table_3", "controls", "sensitivity", "table_1")  # in the README
PARTS = ("tables", "statistics", "budget")
OF_RESULTS = (  # the files of a reference
    *("runs.csv", "provenance.json", "verdicts*.*"),
    *(f"{part}/*.{suffix}" for part in PARTS for suffix in ("csv", "md", "tex")),
)
OF_FIGURES = tuple(f"*.{suffix}" for suffix in ("pdf", "png", "csv", "json"))
README = Path("README.md")
BEGIN, END = "<!-- reference: written by `autoloss reference` -->", "<!-- end of the reference -->"


def reference_folders(study: Study) -> tuple[Path, Path]:
    """Of results and of figures."""
    return Path("results/reference") / study.name, Path("figures/reference") / study.name


def write_reference(study: Study) -> Iterator[Path]:
    """Replace the reference of the study's scale, and the README's part of it, by what there is."""
    results, pictures = reference_folders(study)
    for folder in (*(study.results / part for part in PARTS), study.figures_folder):
        made(study, folder)  # before the one that there is goes
    runs = all_runs(study)
    about = json.dumps(origin(study, runs), indent=1) + "\n"
    readme = _readme()
    _empty({results: OF_RESULTS, pictures: OF_FIGURES})
    for part in PARTS:
        shutil.copytree(study.results / part, results / part, dirs_exist_ok=True)
    for file in study.results.glob("verdicts*.*"):
        shutil.copy(file, results)
    shutil.copytree(study.figures_folder, pictures, dirs_exist_ok=True)
    yield write_text(runs.to_csv(index=False), results / "runs.csv")
    yield write_text(about, results / "provenance.json")
    yield _write_readme(readme, results, pictures)


def _empty(folders: Mapping[Path, Collection[str]]) -> None:
    """Remove a reference's files, by the patterns of its folders, which may be links.

    Raises:
        RecordError: there are others, which would be lost; then nothing is removed.
    """
    old: list[Path] = []
    for folder, patterns in folders.items():
        ours = {file for pattern in patterns for file in folder.glob(pattern)}
        other = [f for f in sorted(folder.rglob("*")) if f not in ours and not f.is_dir()]
        if other:
            mend = f"move it out of {folder}, which is replaced as a whole"
            raise RecordError(str(other[0]), "is no file of a reference", mend)
        old += ours
    for file in old:
        file.unlink()


def all_runs(study: Study) -> pd.DataFrame:
    """The runs of all groups that are indexed, each once, sorted: what a reference keeps of them.

    From the records, each compared with the configuration.

    Raises:
        RecordError: nothing is indexed, or a record is not of this study.
    """
    groups = [group for group in GROUPS if study.index_file(group).exists()]
    if not groups:
        where = str(study.results / "index")
        raise RecordError(where, "no index is there", f"run `{snakemake(study)}` first")
    cells = {group: study.cells(group) for group in groups if group != FULL}
    runs = pd.concat([build_index(study, of_group)[KEPT] for of_group in cells.values()])
    return runs.drop_duplicates(RUN).sort_values(RUN).reset_index(drop=True)


def origin(study: Study, runs: pd.DataFrame) -> dict[str, Any]:
    """Which code, data, versions and machine the runs are of; what searches chose."""
    cells = [cell_of(row) for row in rows_of(runs)]
    records = [
        read_record(study.record_file(cell, seed))
        for cell, seed in zip(cells, runs["seed"].tolist(), strict=True)
    ]
    searches = {
        str(cell): read_search(study.search_file(cell))
        for cell in dict.fromkeys(cells)
        if study.searches(cell)
    }
    return {
        "runs": len(records),
        "failed": sum(record.status != "ok" for record in records),
        "finished": max(record.provenance.finished for record in records),
        "commit": _distinct(records, "commit"),
        "dirty": _distinct(records, "dirty"),
        "versions": _distinct(records, "versions"),
        "lock_hash": _distinct(records, "lock_hash"),
        "hardware": _distinct(records, "hardware"),
        "threads": _distinct(records, "threads"),
        "code": {r.method: r.provenance.code for r in records},
        "data_hash": {r.dataset: r.provenance.data_hash for r in records},
        "searches": {
            name: {"chosen": found.chosen, "trials": len(found.trials), "epochs": found.epochs}
            for name, found in searches.items()
        },
        "seconds": round(sum(r.budget.seconds for r in records)),
    }


def _distinct(records: list[Record], key: str) -> list[Any]:
    found = {json.dumps(getattr(r.provenance, key), sort_keys=True) for r in records}
    return [json.loads(text) for text in sorted(found)]


def _readme() -> str:
    """The README's text, which has a place for the reference.

    Raises:
        RecordError: it has none.
    """
    text = README.read_text(encoding="utf-8") if README.exists() else ""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        mend = f"put these two lines in it, each once:\n{BEGIN}\n{END}"
        raise RecordError(str(README), "has no place for the reference", mend)
    return text


def _write_readme(text: str, results: Path, pictures: Path) -> Path:
    """Put tables and figures between the README's marks."""
    parts = [_verdicts(results / "verdicts.md")] if (results / "verdicts.md").exists() else []
    parts += [
        (results / "tables" / f"{name}.md").read_text(encoding="utf-8").strip()
        for name in SHOWN
        if (results / "tables" / f"{name}.md").exists()
    ]
    for file in sorted(pictures.glob("*.json")):
        about = json.loads(file.read_text(encoding="utf-8"))
        picture = file.with_suffix(".png").as_posix()
        parts.append(
            f"### {about['title']}\n\n![{about['title']}]({picture})\n\n{about['caption']}"
        )
    head, tail = text.partition(BEGIN)[0], text.partition(END)[2]
    return write_text(f"{head}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{tail}", README)


def _verdicts(file: Path) -> str:
    """The claims with their verdicts, without the comparisons that follow."""
    text = file.read_text(encoding="utf-8")
    return text[: text.find("\n### ", 1)].strip()
