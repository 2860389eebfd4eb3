"""The candidates of a study: its losses, in order, as one function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from autoloss.config import LossOptions
from autoloss.errors import require_known
from autoloss.folder import member
from autoloss.losses import LOSSES, ce, focal, hinge, kl
from autoloss.losses._prediction import Prediction
from autoloss.ops.candidates import candidate_losses
from autoloss.ops.kernels import losses as kernels
from autoloss.task import Task

Formula = Callable[[Prediction, LossOptions], Tensor]


def formula(name: str) -> Formula:
    """The `loss` of a file in `autoloss/losses`, which is imported.

    Raises:
        MethodError: the file does not import, or has no `loss`.
    """
    loss: Formula = member(f"autoloss.losses.{name}", "loss")
    return loss


class CandidateLosses:
    """The n candidates of a study, in order: `(labels [B], logits) -> [B, n]`.

    Of a stack labels are `[S, B]`, and the values `[S, B, n]`.
    """

    def __init__(
        self, task: Task, options: LossOptions, names: Sequence[str] | None = None
    ) -> None:
        self.task, self.options = task, options
        self.names = tuple(options.candidates if names is None else names)
        require_known(self.names, LOSSES, "loss", "losses.candidates")
        self._formulas = {name: formula(name) for name in self.names}
        self._parts: dict[tuple[str, ...], CandidateLosses] = {}

    def __len__(self) -> int:
        return len(self.names)

    def only(self, *names: str) -> CandidateLosses:
        """The named losses, with the same task and constants: candidates, or cross-entropy.

        Raises:
            ConfigError: one is neither, so that a run's identity has not its constants.
        """
        if names not in self._parts:
            known = {*self.options.candidates, *self.names, "ce"}
            require_known(names, known, "candidate", "losses.candidates")
            self._parts[names] = CandidateLosses(self.task, self.options, names)
        return self._parts[names]

    def __call__(self, labels: Tensor, logits: Tensor) -> Tensor:
        """Losses `[B, n]` of every example under every candidate."""
        values = self._values(labels, logits)
        if (units := self._units) is None:
            return values
        vars(self)["_units"] = units = units.to(values.device)  # once: that would be waited for
        return values / units.to(values)

    def _values(self, labels: Tensor, logits: Tensor) -> Tensor:
        names, kinds, o = *self._known, self.options
        if not names:
            return self.by_torch(labels, logits)
        constants = o.focal_gamma, o.kl_smoothing, kl.negative_entropy(o, self.task)
        known = partial(self.by_torch, names=names)
        values: Tensor = candidate_losses(logits, labels, kinds, *constants, known)
        if len(names) == len(self):
            return values
        others = [name for name in self.names if name not in names]
        columns = [*values.unbind(-1), *self.by_torch(labels, logits, others).unbind(-1)]
        by_name = dict(zip((*names, *others), columns, strict=True))
        return torch.stack([by_name[name] for name in self.names], dim=-1)

    def by_torch(
        self, labels: Tensor, logits: Tensor, names: Sequence[str] | None = None
    ) -> Tensor:
        """Values of these (all, if None) by torch's operations, with all derivatives."""
        prediction = Prediction(self.task, labels, logits)
        chosen = self.names if names is None else names
        values = [self._formulas[name](prediction, self.options) for name in chosen]
        return torch.stack(values, dim=-1)

    @cached_property
    def _known(self) -> tuple[list[str], Tensor]:
        """The losses that the kernel knows, and their numbers there, `int32`."""
        on_logits = self.options.hinge_on == "logit"
        known: dict[Any, int] = {
            ce.loss: kernels.CE,
            focal.loss: kernels.FOCAL,
            kl.loss: kernels.KL,
            hinge.loss: kernels.HINGE_ON_LOGITS if on_logits else kernels.HINGE,
        }
        kinds = {name: known[loss] for name, loss in self._formulas.items() if loss in known}
        return list(kinds), torch.tensor(list(kinds.values()), dtype=torch.int32)

    @cached_property
    def _units(self) -> Tensor | None:
        """What each candidate is divided by, `[n]`: its value for a model that knows nothing."""
        if self.options.normalise == "none":
            return None
        labels = torch.zeros(1, dtype=torch.long)
        logits = torch.zeros(1) if self.task.binary else torch.zeros(1, self.task.classes)
        return self._values(labels, logits).squeeze(0)
