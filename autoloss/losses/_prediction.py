"""What the losses need of labels and logits."""

from __future__ import annotations

import math
from functools import cached_property

from torch import Tensor
from torch.nn import functional as F

from autoloss.ops.candidates import one_hot
from autoloss.task import Task


class Prediction:
    """What the losses need of labels and logits, computed once and only if asked for.

    Args:
        labels: class indices `[B]`, integer or float (0 and 1 for a binary task).
        logits: `[B]` for a binary task, `[B, C]` for C classes; both with S in front of a stack.
    """

    def __init__(self, task: Task, labels: Tensor, logits: Tensor) -> None:
        self.task, self.labels, self.logits = task, labels, logits

    @cached_property
    def margin(self) -> Tensor:
        """Binary: the logit, signed so that positive is right, `[B]`."""
        return (2.0 * self.labels.to(self.logits.dtype) - 1.0) * self.logits

    @cached_property
    def is_true(self) -> Tensor:
        """C classes: the one-hot mask of the true class, `[B, C]` bool."""
        return one_hot(self.labels.long(), self.task.classes)

    @cached_property
    def log_probs(self) -> Tensor:
        """C classes: log-probabilities `[B, C]`."""
        return F.log_softmax(self.logits, dim=-1)

    @cached_property
    def log_true(self) -> Tensor:
        """log p, the log-probability of the true class, `[B]`."""
        if self.task.binary:
            return F.logsigmoid(self.margin)
        return self.log_probs.gather(-1, self.labels.long().unsqueeze(-1)).squeeze(-1)

    @cached_property
    def log_rest(self) -> Tensor:
        """log(1 - p), without the cancellation of computing 1 - p, `[B]`."""
        if self.task.binary:
            return F.logsigmoid(-self.margin)
        return self.log_probs.masked_fill(self.is_true, -math.inf).logsumexp(dim=-1)

    @cached_property
    def mean_log(self) -> Tensor:
        """Mean of log y_hat over the classes, `[B]`."""
        if self.task.binary:
            return (self.log_true + self.log_rest) / 2
        return self.log_probs.mean(dim=-1)
