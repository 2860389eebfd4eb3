"""The candidate losses (paper §3.4): focal, KL, hinge and cross-entropy, one value per example.

The paper names the four and gives no formula; the forms here and their constants are choices,
listed in docs/deviations.md. All are computed from logits through log-probabilities, so they and
their gradients stay finite for any finite logit. With p the probability of the true class:

    ce     -log p
    focal  -(1 - p)^gamma log p                            (Lin et al. 2017, no alpha)
    kl     KL(q || y_hat), q = (1 - eps) one-hot + eps / C  (against hard labels it *is* ce)
    hinge  max(0, 1 - (p - max of the others)), on probabilities or on logits
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from autoloss.asked import wanted
from autoloss.config import LossOptions
from autoloss.errors import ConfigError, did_you_mean
from autoloss.kernels import losses as kernels
from autoloss.kernels.runtime import fits
from autoloss.task import Task


class Prediction:
    """What the losses need of labels and logits, computed once and only if asked for.

    Args:
        labels: class indices `[B]`, integer or float (0 and 1 for a binary task).
        logits: `[B]` for a binary task, `[B, C]` for C classes.
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
        return F.one_hot(self.labels.long(), self.task.classes).bool()

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


def cross_entropy(prediction: Prediction, options: LossOptions) -> Tensor:
    """-log p, `[B]`."""
    return -prediction.log_true


def focal(prediction: Prediction, options: LossOptions) -> Tensor:
    """-(1 - p)^gamma log p, `[B]`; never above cross-entropy, and not calibrated."""
    return -(options.focal_gamma * prediction.log_rest).exp() * prediction.log_true


def kl(prediction: Prediction, options: LossOptions) -> Tensor:
    """KL divergence from label-smoothed targets to the prediction, `[B]`, at least 0."""
    smoothing = options.kl_smoothing
    expected_log = (1.0 - smoothing) * prediction.log_true + smoothing * prediction.mean_log
    return negative_entropy(options, prediction.task) - expected_log


def negative_entropy(options: LossOptions, task: Task) -> float:
    """Sum of q log q of the smoothed targets q of `kl`."""
    off = options.kl_smoothing / task.classes
    on = 1.0 - options.kl_smoothing + off
    return on * math.log(on) + (task.classes - 1) * (off * math.log(off) if off else 0.0)


def hinge(prediction: Prediction, options: LossOptions) -> Tensor:
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


LOSSES: dict[str, Callable[[Prediction, LossOptions], Tensor]] = {
    "focal": focal,
    "kl": kl,
    "hinge": hinge,
    "ce": cross_entropy,
}


class CandidateLosses:
    """The n candidates of a study, in order: `(labels [B], logits) -> [B, n]`."""

    def __init__(
        self, task: Task, options: LossOptions, names: Sequence[str] | None = None
    ) -> None:
        self.task, self.options = task, options
        self.names = tuple(options.candidates if names is None else names)
        for name in self.names:
            if name not in LOSSES:
                raise ConfigError(
                    "losses.candidates", f"no loss is called '{name}'", did_you_mean(name, LOSSES)
                )

    def __len__(self) -> int:
        return len(self.names)

    def only(self, *names: str) -> CandidateLosses:
        """The named losses, with the same task and constants."""
        return CandidateLosses(self.task, self.options, names)

    def __call__(self, labels: Tensor, logits: Tensor) -> Tensor:
        """Losses `[B, n]` of every example under every candidate."""
        values = self._values(labels, logits)
        return values if self._units is None else values / self._units.to(values)

    def _values(self, labels: Tensor, logits: Tensor) -> Tensor:
        if self._kinds is None or not fits(logits):
            return self.by_torch(labels, logits)
        found: Tensor = _Values.apply(logits, labels.long().contiguous(), self)  # type: ignore[no-untyped-call]
        return found

    def by_torch(self, labels: Tensor, logits: Tensor) -> Tensor:
        """The same values by torch's operations, with all derivatives."""
        prediction = Prediction(self.task, labels, logits)
        values = [LOSSES[name](prediction, self.options) for name in self.names]
        return torch.stack(values, dim=-1)

    @cached_property
    def _kinds(self) -> Tensor | None:
        """Which losses of the kernel's these are, `[n]`; None if one is somebody else's."""
        known: dict[Callable[[Prediction, LossOptions], Tensor], int] = {
            cross_entropy: kernels.CE,
            focal: kernels.FOCAL,
            kl: kernels.KL,
            hinge: kernels.HINGE_ON_LOGITS if self.options.hinge_on == "logit" else kernels.HINGE,
        }
        found = [known.get(LOSSES[name]) for name in self.names]
        return None if None in found else torch.tensor(found, dtype=torch.int32)

    def computed(self, labels: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """By a kernel: values `[B, n]`, their slopes along the logits, `[B, n]` or `[B, n, C]`."""
        assert self._kinds is not None
        options, n, logits = self.options, len(self), logits.contiguous()
        values = logits.new_empty(len(labels), n)
        slopes = logits.new_empty(len(labels), n, *logits.shape[1:])
        kernel = kernels.binary if self.task.binary else kernels.classes
        outside = torch.zeros(1, dtype=torch.int64)
        kernel(
            len(labels),
            n,
            self._kinds,
            float(options.focal_gamma),
            float(options.kl_smoothing),
            negative_entropy(options, self.task),
            labels,
            logits,
            values,
            slopes,
            self.task.classes,
            outside,
        )
        if outside:
            raise IndexError(f"a label is not one of 0 to {self.task.classes - 1}")
        return values, slopes

    @cached_property
    def _units(self) -> Tensor | None:
        """What each candidate is divided by, `[n]`: its value for a model that knows nothing."""
        if self.options.normalise == "none":
            return None
        labels = torch.zeros(1, dtype=torch.long)
        logits = torch.zeros(1) if self.task.binary else torch.zeros(1, self.task.classes)
        return self._values(labels, logits).squeeze(0)


# In the form `forward(ctx, ...)`: torch inspects the signature of the newer one at every call.
class _Values(torch.autograd.Function):
    """The candidates' values; the second derivative is torch's, of the same values by torch."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, losses: CandidateLosses) -> Tensor:
        values, slopes = losses.computed(labels, logits)
        ctx.save_for_backward(logits)
        ctx.labels, ctx.slopes, ctx.losses = labels, slopes, losses
        return values

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (logits,) = ctx.saved_tensors
        function: Any = _Along.apply if torch.is_grad_enabled() else _along
        return function(gradient, logits, ctx.slopes, ctx.labels, ctx.losses), None, None


def _along(gradient: Tensor, logits: Tensor, slopes: Tensor, *_: Any) -> Tensor:
    """The gradient of the logits from that of the values, `[B, n]`."""
    return (slopes * (gradient if logits.dim() == 1 else gradient.unsqueeze(-1))).sum(dim=1)


class _Along(torch.autograd.Function):
    """`_along` and its derivatives: linear in the gradient, by torch's operations in the logits."""

    @staticmethod
    def forward(ctx: Any, *given: Any) -> Tensor:
        gradient, logits, *ctx.rest = given
        ctx.save_for_backward(gradient, logits)
        return _along(*given)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v: Tensor) -> tuple[Tensor | None, ...]:
        (gradient, logits), (slopes, labels, losses) = ctx.saved_tensors, ctx.rest
        of_gradient = of_logits = None
        if wanted(ctx, 0):
            of_gradient = slopes * v.unsqueeze(1)
            of_gradient = of_gradient if logits.dim() == 1 else of_gradient.sum(dim=-1)
        if wanted(ctx, 1):
            with torch.enable_grad():
                logits = logits.detach().requires_grad_()
                values = losses.by_torch(labels, logits)
                (slope,) = torch.autograd.grad(values, logits, gradient, create_graph=True)
                (of_logits,) = torch.autograd.grad(slope, logits, v)
        return of_gradient, of_logits, None, None, None
