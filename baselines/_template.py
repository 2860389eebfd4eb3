"""A template: copy it to `baselines/<name>.py`, set `name` to the file's name, and change it.

This one weighs the candidates globally, by a softmax over learned scores, updated on validation
batches through the exact one-step hypergradient: replace any of the parts.
"""

from __future__ import annotations

from autoloss.method import Learned
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
    )

    def build(self) -> None:
        """The modules with parameters: made here, so that they are seeded."""
        self.weighting = GlobalLogits(len(self.candidates))
        self.relaxation = softmax
