"""KL divergence alone (paper §3.4, baseline 1)."""

from __future__ import annotations

from autoloss.methods.fixed import FixedWeights
from autoloss.methods.info import Info


class KL(FixedWeights):
    """Weight 1 on the kl loss."""

    info = Info(
        name="kl",
        label="KL",
        summary="KL divergence alone",
        paper="Kullback & Leibler, On Information and Sufficiency, 1951",
        fidelity=(("loss", "§3.4", "KL divergence alone", "as written"),),
        weights="one candidate",
        learns_on="nothing",
    )
    constant = {"kl": 1.0}
