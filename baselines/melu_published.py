"""MeLU on loss weights at the rates of its official code: inner step 5e-6, outer Adam 5e-5.

These adapt a user's model there, not four scores. Here a look-ahead of 5e-6 gives gradients of some
1e-8, Adam's epsilon: the scores hardly leave the start, and the method is AL-1 but in name.
"""

from __future__ import annotations

from autoloss.methods.info import Info

from .melu import MeLU


class MeLUPublished(MeLU):
    """MeLU with xi = 0.005 x the model's 1e-3."""

    info = Info(
        name="melu_published",
        label="MeLU-style (published rates)",
        summary="MeLU-style at the rates of MeLU's official code",
        paper="Lee et al., MeLU: Meta-Learned User Preference Estimator, KDD 2019",
        fidelity=(
            (
                "rates",
                "MeLU, code",
                "inner 5e-6, outer 5e-5",
                {"lr": 0.00005, "xi_over_lr": 0.005},
                "the same, on loss weights",
                "B2",
            ),
        ),
        weights="global",
        learns_on="validation",
        tables=("controls",),
        base="melu",
        options={"lr": 0.00005, "xi_over_lr": 0.005},
    )
