"""Pairwise logistic ranking within the batch, each pair's loss shared out between its examples."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from autoloss.config import LossOptions
from autoloss.errors import ConfigError
from autoloss.folder import Info
from autoloss.losses._prediction import Prediction

BLOCK = 4096  # examples that are ranked together: a whole split, judged at once, has too many pairs

info = Info(
    label="Ranking",
    fidelity=(
        (
            "form",
            "Lin et al.",
            "mean over a batch's pairs of log(1 + exp(s_neg - s_pos)), beside cross-entropy",
            "original's way",
            "a loss for each example: half of each pair's, so that the batch's mean is the pairs'",
        ),
    ),
    paper="Lin et al., Understanding the Ranking Loss for Recommendation, KDD 2024",
    in_batch=True,
)


def loss(prediction: Prediction, options: LossOptions) -> Tensor:
    """B / 2PN times the sum of log(1 + exp(s_j - s_i)) over an example's pairs, `[B]`.

    P positives i and N negatives j of the batch, or of its consecutive blocks of 4,096 examples,
    make PN pairs; their mean is the batch's. Where there is no pair nothing can be ranked: log 2,
    what a model that ranks nothing has.

    Raises:
        ConfigError: the task has more than two classes.
    """
    if not prediction.task.binary:
        problem = f"'ranking' is for two classes, and the task has {prediction.task.classes}"
        raise ConfigError("losses.candidates", problem, "leave it out")
    scores, positive = prediction.logits, prediction.labels > 0.5
    blocks = zip(*(torch.split(x, BLOCK, dim=-1) for x in (scores, positive)), strict=True)
    ranked = _ranked if scores.dim() == 1 else _ranked_in_a_stack
    return torch.cat([ranked(*block) for block in blocks], dim=-1)


def _ranked(scores: Tensor, positive: Tensor) -> Tensor:
    """Of the examples of one block, `[B]`: P times N costs are computed."""
    above, below = scores[positive], scores[~positive]
    pairs = len(above) * len(below)
    if pairs == 0:
        return 0 * scores + math.log(2)
    costs = F.softplus(below - above.unsqueeze(-1))  # of each pair, [P, N]
    shares = torch.cat((costs.sum(1), costs.sum(0))) * (len(scores) / 2 / pairs)
    places = torch.cat((positive.nonzero(), (~positive).nonzero())).squeeze(-1)
    return shares[places.argsort()]


def _ranked_in_a_stack(scores: Tensor, positive: Tensor) -> Tensor:
    """The same, `[S, B]`, where each run has P and N of its own: B times B costs are computed."""
    pairs = positive.unsqueeze(-1) & ~positive.unsqueeze(-2)
    costs = F.softplus(scores.unsqueeze(-2) - scores.unsqueeze(-1)) * pairs
    count = pairs.sum(dim=(-2, -1)).unsqueeze(-1).to(scores.dtype)
    shares = (costs.sum(dim=-1) + costs.sum(dim=-2)) * (scores.shape[-1] / 2 / count.clamp_min(1))
    return torch.where(count > 0, shares, 0 * scores + math.log(2))
