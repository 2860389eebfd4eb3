"""The reference: what a laptop run came to, committed, shown in the docs, and verified against.

`results/reference/<name>` has a run's tables, statistics, budgets and one row per run;
`figures/reference/<name>` its figures. The README and docs/results.md show it between two marks.
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
from autoloss.models import MODELS
from autoloss.records.index import COSTS, RUN, build_index
from autoloss.records.schema import Record
from autoloss.records.store import read_record, read_search, write_text
from autoloss.report.analysis import made
from autoloss.report.catalogue import figures, tables
from autoloss.report.escape import markdown
from autoloss.report.frames import cell_of, parts_of, read_csv, rows_of
from autoloss.report.render import MARKDOWN_MARKS, legend, markdown_item
from autoloss.report.runs import label_of
from autoloss.report.table import marks_of, meanings
from autoloss.report.tables._methods import item_of, numbered
from autoloss.study.groups import FULL, GROUPS
from autoloss.study.study import Study
from autoloss.target import snakemake

KEPT = [*RUN, "split", "test_to_train", "status", "run_id", *METRICS]
KEPT += ["best_epoch", "epochs", "stopped_by_limit", "steps", "outer_steps"]
KEPT += [*COSTS, "digest"]
DIGITS = 16  # of a digest, as many as a run's id has
PARTS = ("tables", "statistics", "budget")
OF_RESULTS = (  # the files of a reference
    *("runs.csv", "provenance.json", "verdicts*.*"),
    *(f"{part}/*.{suffix}" for part in PARTS for suffix in ("csv", "md", "tex")),
)
OF_FIGURES = tuple(f"*.{suffix}" for suffix in ("pdf", "png", "csv", "json"))
README, RESULTS_PAGE = Path("README.md"), Path("docs/results.md")
LEGEND = "Mean ± standard deviation over seeds, {} protocol, the best mean in bold."
MARKED = "Marks, by two tests paired by seed, Holm-corrected over Table 2 (docs/statistics.md):"
BEGIN, END = "<!-- reference: written by `autoloss reference` -->", "<!-- end of the reference -->"


def reference_folders(study: Study) -> tuple[Path, Path]:
    """Of results and of figures."""
    return Path("results/reference") / study.name, Path("figures/reference") / study.name


def write_reference(study: Study) -> Iterator[Path]:
    """Replace the reference of the study's scale, and what the pages show of it, by what there is.

    Raises:
        RecordError: something is missing of the study, or a page has no place for the reference.
    """
    results, pictures = reference_folders(study)
    needed = [study.results / part for part in PARTS]
    if study.config.protocol != "tuned":  # `snakemake tuned` draws none
        needed.append(study.figures_folder)
    for folder in needed:
        made(study, folder)  # before the one that there is goes
    runs = all_runs(study)
    about = json.dumps(origin(study, runs), indent=1) + "\n"
    for page in (README, RESULTS_PAGE):
        _around(page)
    _empty({results: OF_RESULTS, pictures: OF_FIGURES})
    for part in PARTS:
        shutil.copytree(study.results / part, results / part, dirs_exist_ok=True)
    for file in study.results.glob("verdicts*.*"):
        shutil.copy(file, results)
    if study.figures_folder.exists():
        shutil.copytree(study.figures_folder, pictures, dirs_exist_ok=True)
    yield write_text(runs.to_csv(index=False), results / "runs.csv")
    yield write_text(about, results / "provenance.json")
    yield from write_pages(study)


def write_pages(study: Study) -> Iterator[Path]:
    """Write the pages that show a reference anew: after a change of wording, without training.

    A tuned study has no pages of its own: those of the published protocol show it.
    """
    for page, text in pages(study.under("published")).items():
        yield write_text(text, page)


def pages(study: Study, root: Path = Path()) -> dict[Path, str]:
    """The text of the README and of docs/results.md, as the study's reference below `root` has it.

    Raises:
        RecordError: a page has no place for the reference.
    """
    shown = {README: _headline(study, root), RESULTS_PAGE: _everything(study, root)}
    around = {page: _around(root / page) for page in shown}
    return {
        page: "\n\n".join([before + BEGIN, *shown[page], END + after])
        for page, (before, after) in around.items()
    }


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
    runs["digest"] = runs["digest"].str[:DIGITS]
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
        "data_hash": {f"{r.dataset} split {r.split}": r.provenance.data_hash for r in records},
        "searches": {
            name: {"chosen": done.chosen, "trials": len(done.trials), "epochs": done.epochs}
            for name, done in searches.items()
        },
        "seconds": round(sum(r.budget.seconds for r in records)),
    }


def _distinct(records: list[Record], key: str) -> list[Any]:
    texts = {json.dumps(getattr(r.provenance, key), sort_keys=True) for r in records}
    return [json.loads(text) for text in sorted(texts)]


def _around(page: Path) -> tuple[str, str]:
    """A page's text before and after its place for the reference.

    Raises:
        RecordError: it has none.
    """
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        mend = f"put these two lines in it, each once:\n{BEGIN}\n{END}"
        raise RecordError(str(page), "has no place for the reference", mend)
    return text.partition(BEGIN)[0], text.partition(END)[2]


def _headline(study: Study, root: Path) -> list[str]:
    """For the README: test AUC of every method of Table 2, and the figure of gains."""
    results, pictures = reference_folders(study)
    file = root / results / "tables" / "table_2.csv"
    if not file.exists():
        return []
    table = read_csv(file).query("metric == 'auc'")
    columns = list(dict.fromkeys(zip(table["dataset"], table["model"], strict=True)))
    names = [markdown(f"{dataset}, {MODELS[model]}") for dataset, model in columns]
    lines = [f"| test AUC | {' | '.join(names)} |", "|---|" + "---:|" * len(columns)]
    numbers = {row["method"]: numbered(row.get("number")) for row in rows_of(table)}
    for method, part in parts_of(table, "method"):
        cells = {
            (row["dataset"], row["model"]): markdown_item(item_of(row)) for row in rows_of(part)
        }
        texts = [cells.get(column, "") for column in columns]
        name = markdown(label_of(study, method)) + numbers[method]
        lines.append(f"| {name} | {' | '.join(texts)} |")
    ours = [method for method, number in numbers.items() if number] or study.ours("table_2")[:1]
    used = {kind for row in rows_of(table) for kind in marks_of(row["mark"])}
    every = meanings([label_of(study, method) for method in ours])
    meaning = {kind: text for kind, text in every.items() if kind in used}
    marks = [MARKED, *legend(meaning, MARKDOWN_MARKS, markdown)] if meaning else []
    parts = ["\n".join(lines), " ".join([LEGEND.format(study.config.protocol), *marks])]
    gains = pictures / "gains.json"
    if (root / gains).exists():
        about = json.loads((root / gains).read_text(encoding="utf-8"))
        parts += [_picture(about["title"], f"{pictures}/gains"), about["caption"]]
    return parts


def _everything(study: Study, root: Path) -> list[str]:
    """For docs/results.md: verdicts, tables and figures; Table 2 of the tuned study leads."""
    results, pictures = reference_folders(study)
    verdicts = root / results / "verdicts.md"
    tuned, _ = reference_folders(study.under("tuned"))
    shown = [tuned / "tables" / "table_2.md", *(results / "tables" / f"{t}.md" for t in tables())]
    files = [root / file for file in shown]
    parts = [_verdicts(verdicts)] if verdicts.exists() else []
    parts += [file.read_text(encoding="utf-8").strip() for file in files if file.exists()]
    for name in figures():  # as on the report's page
        file = root / pictures / f"{name}.json"
        if file.exists():
            about = json.loads(file.read_text(encoding="utf-8"))
            parts += [f"### {about['title']}", _picture(about["title"], f"../{pictures}/{name}")]
            parts.append(about["caption"])
    return parts


def _picture(title: str, path: str) -> str:
    return f"![{title}]({path}.png)"


def _verdicts(file: Path) -> str:
    """The claims with their verdicts, without the comparisons that follow."""
    text = file.read_text(encoding="utf-8")
    return text[: text.find("\n### ", 1)].strip()
