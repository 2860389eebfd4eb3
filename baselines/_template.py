"""A method to start from: global softmax weights, learned on validation batches.

It works as it is. The weights p = softmax(scores) follow the exact one-step hypergradient of the
validation cross-entropy: replace the weighting, the relaxation, the options, or the base class.
"""

from __future__ import annotations

from autoloss.learned import Learned
from autoloss.registry import Info
from autoloss.weighting import GlobalLogits, softmax


class Template(Learned):
    """One line on the method."""

    info = Info(
        name="_template",
        label="Template",
        summary="global softmax weights, learned on validation",
        paper="Authors, Title, Venue Year",
        weights="global",
        learns_on="validation",
        options={
            "every": 1,
            "lr": 0.001,
            "xi_over_lr": 1.0,
            "hypergradient": "exact",
            "criterion": "ce",
        },
        tune={"lr": ("log", 0.0001, 0.1)},
    )

    def build(self) -> None:
        """The modules with parameters: made here, so that they are seeded."""
        self.weighting = GlobalLogits(len(self.candidates))
        self.relaxation = softmax
