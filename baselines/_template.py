"""A method to start from: global softmax weights, learned on validation batches.

It works as it is. The weights p = softmax(scores) follow the exact one-step hypergradient of the
validation cross-entropy: replace the weighting, the relaxation, the options, or the base class.
"""

from __future__ import annotations

from autoloss.methods.info import Info
from autoloss.methods.learned import Learned
from autoloss.methods.weighting import GlobalLogits, softmax


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
            "updates": "alternating",
            "look_ahead": "gradient",
        },
        choices={
            "hypergradient": ("exact", "finite_difference"),
            "criterion": ("mixture", "ce"),
            "updates": ("alternating", "simultaneous"),
            "look_ahead": ("gradient", "optimizer"),
        },
        tune={
            "every": ("choice", 1, 3, 7),
            "lr": ("log", 0.0001, 0.1),
            "xi_over_lr": ("log", 0.1, 1000.0),
        },
    )

    def build(self) -> None:
        """The modules with parameters: made here, so that they are seeded."""
        self.weighting = GlobalLogits(len(self.candidates))
        self.relaxation = softmax
