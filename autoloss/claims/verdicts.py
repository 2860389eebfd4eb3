"""What `results/<name>/verdicts.json` holds: a verdict per claim, and what it rests on."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from autoloss.claims.rules import ANSWERS, REPRODUCED, UNASSESSABLE
from autoloss.errors import RecordError
from autoloss.strict import Strict

MEND = "run `snakemake --cores all claims`"


class Row(Strict):
    """One comparison; numbers are None where it is not assessable.

    `data` is the paper's data set and `dataset` ours, `published` the paper's gain. What the names
    of numbers mean is in docs/statistics.md.
    """

    metric: str
    counts: bool
    data: str
    dataset: str | None
    model: str
    ours: str
    other: str
    minimum: float
    published: float | None = None
    n: int = 0
    gain: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    p_t: float | None = None
    p_holm: float | None = None
    comparisons: int | None = None
    p_below: float | None = None
    p_below_holm: float | None = None
    p_equivalence: float | None = None
    p_equivalence_t: float | None = None
    p_equivalence_holm: float | None = None
    power: float | None = None
    seeds_needed: int | None = None
    improvement: float | None = None
    posterior_above: float | None = None
    posterior_within: float | None = None
    posterior_below: float | None = None
    verdict: str
    detail: str = ""


class Pooled(Strict):
    """One method against another over the cells of a claim: mean, and spread between cells."""

    metric: str
    ours: str
    other: str
    cells: int
    datasets: int
    n: int
    gain: float
    low: float
    high: float
    smallest: float
    largest: float
    spread: float
    positive: int
    improvement: float
    posterior_above: float
    posterior_within: float
    posterior_below: float


class ClaimVerdict(Strict):
    """A claim's verdict; `decider` is the place in `rows` of the comparison that decided it."""

    id: str
    sentence: str
    origin: str
    section: str
    stated: str
    family: str
    basis: str
    direction: str
    verdict: str
    detail: str
    reason: str
    counts: dict[str, int]
    decider: int
    at_half: str
    at_twice: str
    rows: list[Row]
    pooled: list[Pooled]

    @property
    def word(self) -> str:
        """The verdict in words that fit its origin, with its detail."""
        detail = f" ({self.detail})" if self.detail and self.verdict != UNASSESSABLE else ""
        return self.said(self.verdict) + detail

    @property
    def tolerance(self) -> str:
        """How the verdict moves with the minimum effect, in one line."""
        if self.at_half == self.verdict == self.at_twice:
            return "" if self.verdict == UNASSESSABLE else "the same at half and twice"
        return f"half: {self.said(self.at_half)}; twice: {self.said(self.at_twice)}"

    @property
    def held(self) -> str:
        """How many of the comparisons hold."""
        return f"{self.counts.get(REPRODUCED, 0)} of {sum(self.counts.values())}"

    def said(self, verdict: str) -> str:
        """A verdict in words that fit the claim's origin."""
        return ANSWERS.get(verdict, verdict) if self.origin == "reviewers" else verdict


class Verdicts(Strict):
    """The verdicts of a study, with the digests of the claims and of the runs they rest on."""

    claims_sha256: str
    scale: str
    protocol: str
    alpha: float
    papers_own: bool
    groups: dict[str, str]
    families: dict[str, str]
    claims: list[ClaimVerdict]


def read_verdicts(file: Path) -> Verdicts:
    """The verdicts in a file.

    Raises:
        RecordError: it is missing, or not of this version.
    """
    try:
        return Verdicts.model_validate_json(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(str(file), f"cannot be read: {error}", MEND) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise RecordError(str(file), "holds no verdicts of this version", MEND) from error
