"""Focal loss: less weight to what is predicted well."""

from __future__ import annotations

from torch import Tensor

from autoloss.config import LossOptions
from autoloss.folder import Info
from autoloss.losses._prediction import Prediction

info = Info(
    label="Focal",
    fidelity=(
        (
            "form and γ",
            "§3.4",
            "named, no formula, no γ, no α",
            "original's way",
            "-(1 - p)^γ log p, γ = 2, no α",
            "M1",
        ),
    ),
    paper="Lin et al., Focal Loss for Dense Object Detection, ICCV 2017",
    options={"focal_gamma": {"default": 2.0, "ge": 0, "tune": ("uniform", 0.0, 5.0)}},
)


def loss(prediction: Prediction, options: LossOptions) -> Tensor:
    """-(1 - p)^gamma log p, `[B]`; never above cross-entropy, and not calibrated."""
    value: Tensor = -(options.focal_gamma * prediction.log_rest).exp() * prediction.log_true
    return value
