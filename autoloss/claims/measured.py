"""A comparison measured: what its tests say at any minimum effect, and the row that shows them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from autoloss.claims.evidence import Answer, Question
from autoloss.claims.margins import (
    WANTED_POWER,
    below_p,
    equivalence_p,
    equivalence_t,
    power,
    rope,
    seeds_for,
)
from autoloss.claims.rules import (
    INCONCLUSIVE,
    UNASSESSABLE,
    UNDERPOWERED,
    Decision,
    Tested,
    decide,
)
from autoloss.claims.verdicts import Row
from autoloss.config import StatisticsOptions
from autoloss.stats import Comparison, compare

ASKED = [f.name for f in fields(Question) if f.name != "claim"]  # a row repeats its question


@dataclass(frozen=True)
class Measured:
    """A question, what the runs say to it, and their comparison, where there is one."""

    question: Question
    answer: Answer
    comparison: Comparison | None

    @classmethod
    def of(cls, question: Question, answer: Answer, options: StatisticsOptions) -> Measured:
        """The question with its comparison."""
        if answer.gains is None:
            return cls(question, answer, None)
        found = compare(
            answer.d,
            np.zeros(answer.n),
            higher_is_better=True,
            confidence=options.confidence,
            resamples=options.resamples,
        )
        return cls(question, answer, found)

    @property
    def differs(self) -> bool:
        """Whether the claim is of a difference in either direction."""
        return self.question.claim.direction == "differs"

    def tested(self, times: float) -> Tested | None:
        """What the verdict depends on, with the minimum effect multiplied; None: no verdict."""
        question, found, size = self.question, self.comparison, self.question.minimum * times
        if found is None or not question.counts:
            return None
        return Tested(
            key=(question.dataset, question.model, question.ours, question.other),
            family=(question.claim.family, question.metric),
            differs=self.differs,
            gain=found.gain,
            minimum=size,
            p=found.p_permutation,
            p_below=math.nan if self.differs else below_p(self.answer.d, size),
            p_equivalence=equivalence_p(self.answer.d, size),
        )

    def row(self, decision: Decision | None, alpha: float) -> Row:
        """The comparison with its verdict, as it is shown."""
        about: dict[str, Any] = {key: getattr(self.question, key) for key in ASKED}
        about["n"] = self.answer.n
        if self.comparison is None:
            return Row(**about, verdict=UNASSESSABLE, detail=self.answer.reason)
        about |= self._numbers(self.comparison)
        if decision is None:
            return Row(**about, verdict="", detail="shown beside, not judged")
        n, sd, size, m = self.answer.n, self.comparison.sd, self.question.minimum, decision.of
        chance = power(n, sd, size, m, alpha)
        short = decision.verdict == INCONCLUSIVE and chance < WANTED_POWER
        return Row(
            **about,
            p_holm=decision.p_holm,
            comparisons=m,
            p_below_holm=None if self.differs else decision.p_below_holm,
            p_equivalence_holm=decision.p_equivalence_holm,
            power=chance,
            seeds_needed=seeds_for(sd, size, m, alpha),
            verdict=decision.verdict,
            detail=UNDERPOWERED if short else decision.detail,
        )

    def _numbers(self, found: Comparison) -> dict[str, Any]:
        d, size = self.answer.d, self.question.minimum
        above, within, below = rope(d, size)
        return {
            **{key: getattr(found, key) for key in ("gain", "sd", "low", "high", "p_t")},
            "p": found.p_permutation,
            "p_below": None if self.differs else below_p(d, size),
            "p_equivalence": equivalence_p(d, size),
            "p_equivalence_t": equivalence_t(d, size),
            "improvement": found.probability_of_improvement,
            "posterior_above": above,
            "posterior_within": within,
            "posterior_below": below,
        }


def decide_all(measured: Sequence[Measured], times: float, alpha: float) -> list[Decision | None]:
    """The verdict of every comparison that has one, with the minimum effects multiplied."""
    tested = [one.tested(times) for one in measured]
    decided = iter(decide([one for one in tested if one is not None], alpha))
    return [None if one is None else next(decided) for one in tested]
