"""Cross-entropy against the other label: a candidate that destroys what it trains."""

from __future__ import annotations

from torch import Tensor

from autoloss.config import LossOptions
from autoloss.folder import Info
from autoloss.losses._prediction import Prediction

info = Info(label="Opposite", paper="control of this project", control=True)


def loss(prediction: Prediction, options: LossOptions) -> Tensor:
    """-log(1 - p), p of the true class, `[B]`."""
    return -prediction.log_rest
