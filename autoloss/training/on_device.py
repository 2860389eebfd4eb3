"""What a run is judged by, where its logits lie: as `evaluate` and `observe`, without the host.

All is exact as there, ties of AUC included; nothing waits for a number.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from autoloss.methods.contract import Method
from autoloss.ops.candidates import one_hot
from autoloss.task import Task
from autoloss.training.observe import BINS, observed


def auc(task: Task, labels: Tensor, logits: Tensor) -> Tensor:
    """As `evaluate.auc`, float64[]; labels `[n]`, of every class, and logits `[n]` or `[n, C]`."""
    if task.binary:
        return _auc(labels == 1, logits)
    shares = logits.double().softmax(dim=-1)
    return torch.stack([_auc(labels == c, shares[:, c]) for c in range(task.classes)]).mean()


def _auc(positive: Tensor, scores: Tensor) -> Tensor:
    """Of each positive: how many others lie below it, and below or beside it, in whole numbers."""
    scores, order = scores.contiguous().sort()
    positive = positive.index_select(0, order)
    others = F.pad((~positive).long().cumsum(0), (1, 0))
    below = others.index_select(0, torch.searchsorted(scores, scores))
    beside = others.index_select(0, torch.searchsorted(scores, scores, right=True))
    ranked = ((below + beside) * positive).sum()
    return ranked.double() / 2 / (positive.sum() * (~positive).sum())


def logloss(task: Task, labels: Tensor, logits: Tensor) -> Tensor:
    """As `evaluate.logloss`, float64[]."""
    logits = logits.double()
    if task.binary:
        return -F.logsigmoid((2 * labels - 1) * logits).mean()
    return -logits.log_softmax(dim=-1).gather(-1, labels.unsqueeze(-1)).mean()


@torch.no_grad()
def choice_sums(
    method: Method, ids: Tensor, labels: Tensor, logits: Tensor, t: int
) -> Tensor | None:
    """What `observe.choice_of` takes, float64 `[C bins, 1 + 2n]`; None as `observe.choice`."""
    weights, task = observed(method, ids, labels, logits, t), method.task
    if weights is None:
        return None
    shares = logits.double().sigmoid() if task.binary else logits.double().softmax(dim=-1)
    if task.binary:
        shares = torch.stack((1 - shares, shares), dim=-1)
    ease = shares.gather(-1, labels.unsqueeze(-1)).squeeze(-1).nan_to_num()  # of one that diverged
    groups = labels * BINS + (ease * BINS).long().clamp_max(BINS - 1)
    largest = one_hot(weights.argmax(dim=-1), weights.shape[-1])
    columns = torch.cat((torch.ones_like(ease).unsqueeze(-1), weights, largest), dim=-1)
    return columns.new_zeros(task.classes * BINS, columns.shape[-1]).index_add_(0, groups, columns)
