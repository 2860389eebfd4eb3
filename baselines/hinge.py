"""Hinge loss alone (paper §3.4, baseline 1)."""

from __future__ import annotations

from autoloss.methods.fixed import FixedWeights
from autoloss.methods.info import Info


class Hinge(FixedWeights):
    """Weight 1 on the hinge loss."""

    info = Info(
        name="hinge",
        label="Hinge",
        summary="Hinge loss alone",
        paper="Crammer & Singer, Multiclass Kernel-based Vector Machines, JMLR 2001",
        fidelity=(("loss", "§3.4", "hinge loss alone", "as written"),),
        weights="one candidate",
        learns_on="nothing",
    )
    constant = {"hinge": 1.0}
