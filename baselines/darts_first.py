"""First-order DARTS (Liu et al., ICLR 2019, xi = 0): alpha follows dL_val(W, alpha)/dalpha alone.

With L_val the mixture itself this draws the scores to the candidate smallest in value; with a fixed
L_val the gradient would be zero.
"""

from __future__ import annotations

from autoloss.methods.info import Info

from .darts import DARTS


class FirstOrderDARTS(DARTS):
    """DARTS without the look-ahead step."""

    info = Info(
        name="darts_first",
        label="DARTS (first order)",
        summary="global softmax weights, first-order gradient on validation",
        paper="Liu et al., DARTS: Differentiable Architecture Search, ICLR 2019, xi = 0",
        fidelity=(("ξ = 0", "DARTS, code", "the first-order form", {"hypergradient": "direct"}),),
        weights="global",
        learns_on="validation",
        tables=("controls",),
        base="darts",
        options={"hypergradient": "direct"},
    )
