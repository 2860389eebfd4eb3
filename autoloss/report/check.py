"""`autoloss check`: a results tree's findings in words, each kind with its count and its mend."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from autoloss.records.check import KINDS, Finding, Tree, expected_cells, remove
from autoloss.records.schema import Record
from autoloss.study.cell import Cell
from autoloss.study.groups import APART, GROUPS
from autoloss.study.kept import other_runs
from autoloss.study.study import Study
from autoloss.target import autoloss, snakemake

MENDS = {
    "mixed": "prepare the data again (snakemake does), then check again",
    "over budget": "a search trains through lab.train only; see docs/statistics.md",
    "failed": "its record has the traceback; remove the cause, or keep it as the result that it is",
}


@dataclass(frozen=True)
class Checked:
    """What a check found: lines for people, and the findings."""

    study: Study
    lines: list[str]
    findings: list[Finding]

    @property
    def sound(self) -> bool:
        """Whether all is well."""
        return not self.findings

    def remove(self) -> list[Path]:
        """Remove what is wrong; returns the files. All that was made of runs goes with it.

        For Snakemake, a table that is there is done, whatever has become of the runs behind it.
        """
        removed = remove(self.findings)
        for file in products(self.study) if removed else ():
            file.unlink()
        return removed


def products(study: Study) -> Iterator[Path]:
    """Every file that is made of records: a minute's work to make again."""
    rooms = ("index", "crashes", "budget", "statistics", "tables")
    patterns = (*(f"{room}/*" for room in rooms), "verdicts*", "report.html")
    for pattern in patterns:
        yield from study.results.glob(pattern)
    yield from study.figures_folder.glob("*")


def check_study(study: Study) -> Checked:
    """Look through a study's results tree."""
    tree = Tree.read(study)
    return Checked(study, list(_report(tree)), tree.findings)


def _report(tree: Tree) -> Iterator[str]:
    study, cells, findings = tree.study, expected_cells(tree.study), tree.findings
    failed = sum(record.status == "failed" for record in tree.records.values())
    sound = f"{len(tree.records) - failed} sound runs" + (f" and {failed} failed" if failed else "")
    yield f"{study.results}: {sound}, in {len(cells)} cells."
    yield from machines(tree.records.values())
    yield from _outside(study, cells)
    for kind, meaning in KINDS.items():
        alike = [finding for finding in findings if finding.kind == kind]
        if alike:
            yield f"{kind} ({len(alike)}): {meaning}"
            if kind == "missing":
                yield from _by_target(study, alike)
            yield from _lines(alike)
            if kind in MENDS:
                yield f"  To mend it: {MENDS[kind]}"
    if any(finding.remove for finding in findings):
        yield from _mends(study)
    if not findings:
        yield "All is well."


def machines(records: Iterable[Record]) -> Iterator[str]:
    """A line per machine and set of versions, where the runs are of more than one."""
    made: Counter[str] = Counter()
    for record in records:
        about = record.provenance
        hardware = {key: about.hardware.get(key) for key in ("cpu", "instructions", "gpu")}
        versions = {key: about.versions.get(key) for key in ("python", "torch", "numpy")}
        made[json.dumps(hardware | versions, sort_keys=True)] += 1
    if len(made) > 1:
        yield f"The runs are of {len(made)} machines or sets of versions; pairs may mix them:"
        yield from (f"  {count} runs: {about}" for about, count in made.most_common())


def _mends(study: Study) -> Iterator[str]:
    """What makes anew what is wrong; where the name holds other runs, what is not refused."""
    if other := other_runs(study):
        yield f"{study.results} {other}."
        yield f"To check what is there: `autoloss check --study {study.name}`. To make this study,"
        yield "give it a name of its own, `study: {name: ...}`."
        return
    yield f"To make them anew: `{autoloss(study, 'check --rerun')}`, then"
    yield f"`{snakemake(study)}`"


def _by_target(study: Study, missing: Sequence[Finding]) -> Iterator[str]:
    """Of which targets what is missing is: what nobody has asked for is no loss."""
    places = [finding.where.removesuffix(" search") for finding in missing]
    begun = [g for g in GROUPS if g not in APART or study.index_file(g).exists()]
    cells = {group: {*map(str, study.cells(group))} for group in begun if study.has(group)}
    counts = {group: sum(place in own for place in places) for group, own in cells.items()}
    lacking = [f"{group} ({count})" for group, count in counts.items() if count]
    whole = [group for group, count in counts.items() if not count]
    if not lacking:
        return
    yield (
        f"  Of {', '.join(lacking)}; one that several targets ask for counts in each."
        + f" Whole: {', '.join(whole)}." * bool(whole)
    )
    yield "  It is no loss where you have not asked for a target (nor for `all`)."


def _outside(study: Study, cells: list[Cell]) -> Iterator[str]:
    """Records that nothing reads: of seeds or methods that the study no longer has."""
    asked = {study.record_file(cell, seed) for cell in cells for seed in study.seeds}
    left = set(study.results.glob("runs/*/*/*/seed_*.json")) - asked
    if left:
        yield f"{len(left)} records are outside this study, and nothing reads them."


def _lines(findings: list[Finding]) -> Iterator[str]:
    """A line per cell: its seeds, and what is wrong with the first."""
    by_cell: dict[str, list[Finding]] = {}
    for finding in findings:
        by_cell.setdefault(finding.where, []).append(finding)
    for where, alike in by_cell.items():
        seeds = ", ".join(str(finding.seed) for finding in alike if finding.seed is not None)
        named = f"{where} seed{'s' if len(alike) > 1 else ''} {seeds}" if seeds else where
        yield f"  {named}: {alike[0].problem}"
