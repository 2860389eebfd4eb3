"""Focal loss alone (paper §3.4, baseline 1)."""

from __future__ import annotations

from autoloss.methods.fixed import FixedWeights
from autoloss.methods.info import Info


class Focal(FixedWeights):
    """Weight 1 on the focal loss."""

    info = Info(
        name="focal",
        label="Focal",
        summary="Focal loss alone",
        paper="Lin et al., Focal Loss for Dense Object Detection, ICCV 2017",
        fidelity=(("loss", "§3.4", "focal loss alone", "as written"),),
        weights="one candidate",
        learns_on="nothing",
    )
    constant = {"focal": 1.0}
