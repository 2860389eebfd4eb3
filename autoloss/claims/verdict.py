"""What `results/<name>/verdicts.json` holds: a verdict per claim, and what it rests on."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from autoloss.claims.rules import FAILS, HOLDS, MISSING
from autoloss.errors import RecordError
from autoloss.strict import Strict
from autoloss.study.layout import Layout

MEND = "run `snakemake --cores all claims`"
# What verdicts have in common where those of the tuned protocol stand beside them.
SHARED = ("claims_sha256", "scale", "alpha", "seeds", "splits", "max_rows")


class Row(Strict):
    """One comparison; numbers are None where they are not to be had.

    `data` is the paper's data set and `dataset` ours, `published` the paper's gain, `basis` where
    the smallest effect of interest (`minimum`) is from. `p_holds` and `p_worse` are corrected over
    `comparisons`, `p_fails` over `questions`. What the names of numbers mean is in
    docs/statistics.md. A row that does not decide has no outcome, and no `test_rows_error`.
    """

    metric: str
    decides: bool
    data: str
    dataset: str | None
    model: str
    ours: str
    other: str
    published: float | None = None
    minimum: float | None = None
    basis: str = ""
    n: int = 0
    test_to_train: float = 0.0
    gain: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    test_rows_error: float | None = None
    p_permutation: float | None = None
    p_t: float | None = None
    comparisons: int | None = None
    questions: int | None = None
    p_holds: float | None = None
    p_fails: float | None = None
    p_worse: float | None = None
    resolved: float | None = None
    chance: float | None = None
    seeds_needed: int | None = None
    outcome: str = ""
    detail: str = ""

    @property
    def compared(self) -> tuple[str, ...]:
        """What is compared, where and by what: claims share comparisons."""
        return self.metric, str(self.dataset), self.model, self.ours, self.other

    @property
    def p(self) -> float | None:
        """The p-value that the outcome rests on; of an open comparison the smaller of two."""
        if self.p_holds is None or self.p_fails is None:
            return None
        return self.p_fails if self._is_of_failing else self.p_holds

    @property
    def over(self) -> int | None:
        """Over how many tests of its family that p is corrected."""
        return self.questions if self._is_of_failing else self.comparisons

    @property
    def _is_of_failing(self) -> bool:
        if self.p_holds is None or self.p_fails is None or self.outcome == HOLDS:
            return False
        return self.outcome == FAILS or self.p_fails < self.p_holds


class Tally(Strict):
    """Several comparisons together.

    `decider` is the place of the one that decided, among the rows of the claim.
    """

    outcome: str
    counts: dict[str, int]
    decider: int

    @property
    def lacking(self) -> str:
        """How many of its comparisons were not attempted, if some were."""
        missing, total = self.counts.get(MISSING, 0), sum(self.counts.values())
        return f"{missing} of {total} not attempted" if 0 < missing < total else ""


class Summary(Tally):
    """A claim's comparisons on one data set by one metric; gains are None where none is known."""

    dataset: str | None
    metric: str
    median: float | None
    smallest: float | None
    largest: float | None


class ClaimVerdict(Tally):
    """The verdict on a claim, or on one of its readings: of a method, in words `read_as`."""

    id: str
    sentence: str
    reading: str
    read_as: str
    origin: str
    section: str
    stated: str
    family: str
    verdict: str
    rows: list[Row]
    summaries: list[Summary]

    @property
    def title(self) -> str:
        """The claim's sentence, with how it is read."""
        return f"{self.sentence} ({self.read_as})" if self.reading else self.sentence

    @property
    def anchor(self) -> str:
        """Its place on the report's page."""
        return f"claim-{self.id}" + (f"-{self.reading}" if self.reading else "")


class Verdicts(Strict):
    """The verdicts of a study, with the digests of the claims and of the runs they rest on.

    `claims_commit` is the one that last changed the claims, None where they have changed since;
    `history` what had been seen when their rules were made.
    """

    claims_sha256: str
    claims_commit: str | None
    history: str = ""
    scale: str
    protocol: str
    alpha: float
    seeds: list[int]
    splits: int = 1
    max_rows: int | None = None
    papers_own: bool
    stand_ins: dict[str, str]
    groups: dict[str, str]
    families: dict[str, str]
    claims: list[ClaimVerdict]


def read_tuned(study: Layout, verdicts: Verdicts) -> Verdicts | None:
    """What the tuned study has beside these verdicts: None without any, or if these are its own.

    Raises:
        RecordError: they are of other claims, rows, seeds or splits, or of no tuned study.
    """
    file = study.tuned_verdicts
    if study.config.protocol == "tuned" or not file.exists():
        return None
    tuned = read_verdicts(file)
    asked = {name: getattr(verdicts, name) for name in SHARED} | {"protocol": "tuned"}
    others = [name for name, value in asked.items() if getattr(tuned, name) != value]
    if tuned.stand_ins.items() - verdicts.stand_ins.items():  # it may have fewer data sets
        others.append("stand_ins")
    if others:
        problem = f"has another {others[0]} than the verdicts beside which it stands"
        mend = f"run `snakemake --cores all tuned` again, or move {file} away"
        raise RecordError(str(file), problem, mend)
    return tuned


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
