"""KL divergence from smoothed labels."""

from __future__ import annotations

import math

from torch import Tensor

from autoloss.config import LossOptions
from autoloss.folder import Info
from autoloss.losses._prediction import Prediction
from autoloss.task import Task

info = Info(
    label="KL",
    fidelity=(
        (
            "targets",
            "§3.4",
            "named, no formula; its numbers differ from CE's",
            "our reading",
            "smoothed labels, ε = 0.1",
            "M2",
        ),
        (
            "hard labels",
            "§3.4",
            "not said",
            {"kl_smoothing": 0.0},
            "it is cross-entropy then",
            "M2",
        ),
    ),
    paper="Kullback & Leibler, On Information and Sufficiency, 1951",
    options={"kl_smoothing": {"default": 0.1, "ge": 0, "lt": 1, "tune": ("uniform", 0.0, 0.3)}},
)


def loss(prediction: Prediction, options: LossOptions) -> Tensor:
    """KL divergence from label-smoothed targets to the prediction, `[B]`, at least 0."""
    smoothing = options.kl_smoothing
    expected_log = (1.0 - smoothing) * prediction.log_true + smoothing * prediction.mean_log
    value: Tensor = negative_entropy(options, prediction.task) - expected_log
    return value


def negative_entropy(options: LossOptions, task: Task) -> float:
    """Sum of q log q of the smoothed targets q of `kl`."""
    off: float = options.kl_smoothing / task.classes
    on: float = 1.0 - options.kl_smoothing + off
    return on * math.log(on) + (task.classes - 1) * (off * math.log(off) if off else 0.0)
