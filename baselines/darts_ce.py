"""DARTS on loss weights judged by cross-entropy, a fixed task loss as DARTS itself has one."""

from __future__ import annotations

from autoloss.methods.info import Info

from .darts import DARTS


class DARTSCE(DARTS):
    """DARTS with upper criterion CE."""

    info = Info(
        name="darts_ce",
        label="DARTS (upper CE)",
        summary="DARTS with cross-entropy as the upper criterion",
        paper="variant of Liu et al., DARTS, ICLR 2019",
        fidelity=(
            (
                "criterion",
                "DARTS, Eq. 7",
                "α in both losses",
                {"criterion": "ce"},
                "cross-entropy: a control",
                "B1",
            ),
        ),
        weights="global",
        learns_on="validation",
        tables=("controls",),
        base="darts",
        options={"criterion": "ce"},
    )
