"""MeLU on loss weights judged by the mixture, as DARTS and AutoLoss are (Eq. 12)."""

from __future__ import annotations

from autoloss.methods.info import Info

from .melu import MeLU


class MeLUMixture(MeLU):
    """MeLU with the mixture as upper criterion."""

    info = Info(
        name="melu_mixture",
        label="MeLU-style (mixture)",
        summary="MeLU-style with the mixture as the upper criterion",
        paper="variant of Lee et al., MeLU, KDD 2019",
        fidelity=(
            (
                "criterion",
                "MeLU, code",
                "a fixed loss",
                {"criterion": "mixture"},
                "the mixture of Eq. 12: a control",
                "B2",
            ),
        ),
        weights="global",
        learns_on="validation",
        tables=("controls",),
        base="melu",
        options={"criterion": "mixture"},
    )
