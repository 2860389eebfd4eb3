"""Hinge loss alone, read on logits (paper §3.4, baseline 1): `hinge` under its other reading.

The paper gives no formula. On logits it is max(0, 1 - margin), with no loss beyond the margin; on
probabilities, as `hinge` has it, 2(1 - p) for two classes. A note of Table 2 says which of the two
is as far from cross-entropy as the paper's.
"""

from __future__ import annotations

from autoloss.methods.fixed import FixedWeights
from autoloss.methods.info import Info


class HingeOnLogits(FixedWeights):
    """Weight 1 on the hinge loss, on logits whatever the study's candidates have."""

    info = Info(
        name="hinge_logit",
        label="Hinge (logits)",
        summary="Hinge loss alone, on logits",
        paper="Crammer & Singer, Multiclass Kernel-based Vector Machines, JMLR 2001",
        fidelity=(
            (
                "loss",
                "§3.4",
                "hinge loss alone, within 0.001 of CE, no formula",
                "our reading",
                "the usual hinge, on logits",
                "M3",
            ),
        ),
        weights="one candidate",
        learns_on="nothing",
        base="hinge",
        losses={"hinge_on": "logit"},
    )
    constant = {"hinge": 1.0}
