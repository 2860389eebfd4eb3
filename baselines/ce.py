"""Cross-entropy alone (paper §3.4, baseline 1)."""

from __future__ import annotations

from autoloss.methods.fixed import FixedWeights
from autoloss.methods.info import Info


class CrossEntropy(FixedWeights):
    """Weight 1 on the ce loss."""

    info = Info(
        name="ce",
        label="CE",
        summary="Cross-entropy alone",
        paper="Good, Rational Decisions, 1952",
        fidelity=(("loss", "§3.4", "cross-entropy alone", "as written"),),
        weights="one candidate",
        learns_on="nothing",
        tables=("table_2", "controls"),
    )
    constant = {"ce": 1.0}
