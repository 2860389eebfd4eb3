"""Cross-entropy."""

from __future__ import annotations

from torch import Tensor

from autoloss.config import LossOptions
from autoloss.folder import Info
from autoloss.losses._prediction import Prediction

info = Info(
    label="CE",
    fidelity=(
        ("form", "§3.4", "named, no formula", "original's way", "-log p, p of the true class"),
    ),
    paper="Good, Rational Decisions, 1952",
)


def loss(prediction: Prediction, options: LossOptions) -> Tensor:
    """-log p, `[B]`."""
    return -prediction.log_true
