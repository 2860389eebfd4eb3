"""`docs/artifact.md`: what a reviewer needs, from the claims and the committed run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from autoloss.claims.schema import OWN_CLAIM, load_claims
from autoloss.report.escape import markdown

REFERENCE = Path("results") / "reference" / "laptop"
INTRODUCTION = """# Artifact

Written by `autoloss artifact`; do not edit.

## Steps

Python 3.11 or newer and make; no GPU. Packages and two small data sets come from the network.

1. `make smoke`: the whole workflow on samples, minutes. Its numbers mean nothing.
2. `make reproduce`: the study at laptop scale. It ends with the path of every product and Table 2.
3. `.venv/bin/autoloss verify`: compares every run with the committed ones; expect `None is off.`
4. The paper's data and GPUs: [data.md](data.md) and [clusters.md](clusters.md).

"""
CLAIMS = """## Claims

Each claim is judged by `snakemake --cores all claims`; the targets in the table make its evidence
alone. Rules and thresholds: [statistics.md](statistics.md); verdicts expected at laptop scale:
`results/reference/laptop/verdicts.md`.

| claim | paper | target |
|---|---|---|
"""


def artifact_page(root: Path) -> str:
    """The page of the project at `root`."""
    return INTRODUCTION + _reference_run(root) + CLAIMS + "\n".join(_claims(root)) + "\n"


def _reference_run(root: Path) -> str:
    """On what the committed results were made."""
    made = json.loads((root / REFERENCE / "provenance.json").read_text(encoding="utf-8"))
    lines = [f"{made['runs']} runs, {made['failed']} of them failed."]
    for kind in ("hardware", "versions"):
        for machine in made[kind]:
            listed = ", ".join(
                f"{name.replace('_', ' ')} {value}" for name, value in machine.items()
            )
            lines.append(f"- {kind}: {listed}")
    return "## The committed run\n\n" + lines[0] + "\n\n" + "\n".join(lines[1:]) + "\n\n"


def _claims(root: Path) -> Iterator[str]:
    listed = load_claims(root).listed.claims
    for claim in (claim for claim in listed if claim.origin != OWN_CLAIM):
        section = f"section {claim.section}" if claim.section else "(reviewers)"
        tuned = ["tuned"] if claim.protocol == "tuned" else claim.groups
        targets = ", ".join(f"`{target}`" for target in tuned)
        yield f"| {markdown(claim.sentence)} | {markdown(section)} | {targets} |"
