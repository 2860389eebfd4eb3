"""Another loss times a constant: the same gradient but for its length, and another value."""

from __future__ import annotations

from torch import Tensor

from autoloss.config import LossOptions
from autoloss.folder import Info
from autoloss.losses import ce, focal, hinge, kl, opposite
from autoloss.losses._prediction import Prediction

FORMULAS = {loss.__name__.rpartition(".")[2]: loss for loss in (ce, focal, hinge, kl, opposite)}

info = Info(
    label="Scaled",
    paper="control of this project",
    options={
        "scaled_of": {"default": "ce", "choices": ("ce", "focal", "hinge", "kl", "opposite")},
        "scaled_by": {"default": 0.05, "gt": 0, "tune": ("log", 0.01, 1.0)},
    },
)


def loss(prediction: Prediction, options: LossOptions) -> Tensor:
    """`scaled_by` times the loss `scaled_of`, `[B]`."""
    value: Tensor = options.scaled_by * FORMULAS[options.scaled_of].loss(prediction, options)
    return value
