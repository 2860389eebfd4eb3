"""Hinge loss."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

from autoloss.config import LossOptions
from autoloss.folder import Info
from autoloss.losses._prediction import Prediction

info = Info(
    label="Hinge",
    fidelity=(
        (
            "margin",
            "§2.2.4, §3.4",
            "losses are of ŷ; categorical hinge is named, no formula",
            "our reading",
            "of probabilities",
            "M3",
        ),
        (
            "margin of logits",
            "§3.4",
            "its numbers are within 0.001 of CE's",
            {"hinge_on": "logit"},
            "the usual hinge",
            "M3",
        ),
    ),
    paper="Crammer & Singer, Multiclass Kernel-based Vector Machines, JMLR 2001",
    options={
        "hinge_on": {
            "default": "probability",
            "choices": ("probability", "logit"),
            "tune": ("choice", "probability", "logit"),
        }
    },
)


def loss(prediction: Prediction, options: LossOptions) -> Tensor:
    """max(0, 1 - margin), the margin between the true class and its best rival, `[B]`.

    On probabilities the margin is p - max of the others, so a binary hinge is 2(1 - p), always
    active; on logits it is the usual hinge (Crammer & Singer 2001 for C classes).
    """
    on_logits = options.hinge_on == "logit"
    if prediction.task.binary:
        return F.relu(1.0 - prediction.margin) if on_logits else 2.0 * prediction.log_rest.exp()
    scores = prediction.logits if on_logits else prediction.log_probs
    rival = scores.masked_fill(prediction.is_true, -math.inf).amax(dim=-1)
    if on_logits:
        true = scores.gather(-1, prediction.labels.long().unsqueeze(-1)).squeeze(-1)
        return F.relu(1.0 - (true - rival))
    return prediction.log_rest.exp() + rival.exp()  # 1 - p + rival, never below 0
