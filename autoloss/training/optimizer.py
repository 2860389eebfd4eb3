"""The optimizer of a model: Adam on everything, on large embedding tables by the rows in use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from autoloss.config import TrainingOptions
from autoloss.errors import ConfigError
from autoloss.functional import FunctionalModel, Parts
from autoloss.ops.adam import Adam, stepped
from autoloss.training.deferred import DeferredAdam

# Rows for each look-up of a step: up to here moving all is faster (docs/performance.md).
DENSE = {"cpu": 3, "cuda": 100}


class ModelAdam:
    """Adam on a model's parameters, its tables deferred if `options.table_updates` says so.

    Args:
        rows_per_step: how many rows a batch looks up; `auto` defers much larger tables.
        stacked: the model is a stack's: steps are counted on its device, tables that are not
            deferred are left whole.
    """

    def __init__(
        self,
        model: nn.Module,
        options: TrainingOptions,
        rows_per_step: int,
        *,
        stacked: bool = False,
    ) -> None:
        self._parts, self._stacked = Parts.of(model), stacked
        deferred = _deferred(model, self._parts, options, rows_per_step)
        tables = self._parts.tables if deferred else {}
        self._tables = list(tables)
        self._rows: DeferredAdam | None = None
        if tables:
            self._rows = DeferredAdam(
                tables.values(), options.lr, weight_decay=options.weight_decay
            )
        self._rest = {k: v for k, v in self._parts.trainable.items() if k not in tables}
        self._adam = Adam(
            self._rest.values(),
            options.lr,
            weight_decay=options.weight_decay,
            decoupled=options.decoupled_weight_decay,
        )
        self._open: FunctionalModel
        if stacked:
            device = next(model.parameters()).device
            self._adam.count_on(device)
            if self._rows:
                self._rows.count_on(device)

    @property
    def lr(self) -> float:
        """The learning rate, the same in all steps."""
        return self._adam.lr

    def open(
        self, model: nn.Module, batches: Sequence[Tensor], *, cut: bool = True
    ) -> FunctionalModel:
        """The model on `batches` of ids; a step moves its `params`."""
        read = self._rows.open if self._rows else None
        self._open = FunctionalModel(
            model,
            batches,
            parts=self._parts,
            read=read,
            cut=read is not None or (cut and not self._stacked),
            moves_statistics=True,
        )
        return self._open

    def step(self, gradients: Mapping[str, Tensor]) -> None:
        """Move the parameters by the gradients of what was opened last."""
        for name, parameter in self._rest.items():
            gradient = gradients[name]
            if name in self._open.tables:
                gradient = torch.zeros_like(parameter).index_copy_(0, self._open.rows, gradient)
            parameter.grad = gradient
        self._adam.step()
        if self._rows:
            self._rows.step([gradients[name] for name in self._tables])

    def advance(
        self, params: Mapping[str, Tensor], gradients: Mapping[str, Tensor], lr: float
    ) -> dict[str, Tensor]:
        """Where a step at the rate `lr` would bring `params`, of what was opened last.

        Autograd goes from there to `gradients`; the moments are constants. Nothing is moved.
        """
        moments = self._open_moments()
        ahead = {}
        for name, value in params.items():
            adam, mean, square = moments[name]
            options = adam.options._replace(lr=lr)
            ahead[name] = stepped(value, gradients[name], mean, square, adam.steps, options)
        return ahead

    def _open_moments(self) -> dict[str, tuple[Adam | DeferredAdam, Tensor, Tensor]]:
        """By parameter: what moves it, and the mean and square, cut as what was opened last is."""
        moments: dict[str, tuple[Adam | DeferredAdam, Tensor, Tensor]] = {}
        for name, mean, square in zip(self._rest, *self._adam.moments, strict=True):
            if name in self._open.tables:
                mean, square = (x.index_select(0, self._open.rows) for x in (mean, square))
            moments[name] = self._adam, mean, square
        if self._rows:
            for name, mean, square in zip(self._tables, *self._rows.moments, strict=True):
                moments[name] = self._rows, mean, square
        return moments

    def moved(self) -> None:
        """Say that a step has been made, be it one that was recorded and done again."""
        if self._rows:
            self._rows.moved()

    def settle(self) -> None:
        """Bring all the model's tables up to date: before anything reads them but by a look-up."""
        if self._rows:
            self._rows.settle()

    def state_dict(self) -> dict[str, Any]:
        """For `load_state_dict`."""
        return {
            "rest": self._adam.state_dict(),
            "rows": self._rows.state_dict() if self._rows else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._adam.load_state_dict(state["rest"])
        if self._rows:
            self._rows.load_state_dict(state["rows"])


def _deferred(model: nn.Module, parts: Parts, options: TrainingOptions, rows_per_step: int) -> bool:
    """Whether to defer the model's tables."""
    tables = parts.tables.values()
    l2 = bool(options.weight_decay) and not options.decoupled_weight_decay
    able = bool(tables) and getattr(model, "reads_rows", False) and not l2
    if options.table_updates == "deferred" and not able:
        raise ConfigError(
            "training.table_updates",
            "is 'deferred', which needs a model that reads rows of FieldEmbeddings, and no L2",
            "set decoupled_weight_decay: true, or table_updates: dense",
        )
    weights = [table.weight for table in tables]
    large = any(len(w) > DENSE[w.device.type] * rows_per_step for w in weights)
    wanted = options.table_updates == "deferred" or (options.table_updates == "auto" and large)
    return wanted and able
