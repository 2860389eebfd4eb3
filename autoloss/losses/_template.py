"""A loss to start from: Brier's score, the squared error of all probabilities.

It works as it is: replace the formula and the option.
"""

from __future__ import annotations

import math

from torch import Tensor

from autoloss.config import LossOptions
from autoloss.folder import Info
from autoloss.losses._prediction import Prediction

info = Info(
    label="Template",
    paper="Authors, Title, Venue Year",
    options={"template_scale": {"default": 1.0, "gt": 0, "tune": ("log", 0.1, 10.0)}},
)


def loss(prediction: Prediction, options: LossOptions) -> Tensor:
    """scale times the sum over the classes of (ŷ_c - y_c)^2, `[B]`."""
    scale: float = options.template_scale
    missed = prediction.log_rest.exp().square()  # (1 - p)^2, p of the true class
    if prediction.task.binary:
        return scale * 2 * missed
    others = prediction.log_probs.masked_fill(prediction.is_true, -math.inf)
    return scale * (missed + others.exp().square().sum(dim=-1))
