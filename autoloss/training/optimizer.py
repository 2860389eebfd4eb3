"""The optimizer of a model: Adam on everything, on large embedding tables by the rows in use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from autoloss.adam import Adam
from autoloss.config import TrainingOptions
from autoloss.errors import ConfigError
from autoloss.models.embedding import FieldEmbedding
from autoloss.training.deferred import DeferredAdam

DENSE = 3  # rows for each look-up of a step: up to here moving all is faster (docs/performance.md)


class ModelAdam:
    """Adam on a model's parameters, its tables deferred if `options.table_updates` says so.

    Args:
        rows_per_step: how many rows a batch looks up; `auto` defers much larger tables.
    """

    def __init__(self, model: nn.Module, options: TrainingOptions, rows_per_step: int) -> None:
        tables = _deferred(model, options, rows_per_step)
        taken = {id(table.weight) for table in tables}
        self._rest = Adam(
            [parameter for parameter in model.parameters() if id(parameter) not in taken],
            options.lr,
            weight_decay=options.weight_decay,
            decoupled=options.decoupled_weight_decay,
        )
        self._rows = (
            DeferredAdam(tables, options.lr, weight_decay=options.weight_decay) if tables else None
        )
        self.lr = options.lr

    def open(self, ids: Tensor) -> list[Tensor]:
        """What a step on the batch `ids` `[B, F]` differentiates: parameters and tables' rows."""
        return [*self._rest.parameters, *(self._rows.open(ids) if self._rows else [])]

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move what `open` gave."""
        n = len(self._rest.parameters)
        for parameter, gradient in zip(self._rest.parameters, gradients[:n], strict=True):
            parameter.grad = gradient
        self._rest.step()
        if self._rows:
            self._rows.step(gradients[n:])

    def settle(self, ids: Tensor | None = None) -> None:
        """Bring the model's rows of `ids`, or all, up to date: before anything else reads them."""
        if self._rows:
            self._rows.settle(ids)

    def state_dict(self) -> dict[str, Any]:
        """For `load_state_dict`."""
        return {
            "rest": self._rest.state_dict(),
            "rows": self._rows.state_dict() if self._rows else None,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._rest.load_state_dict(state["rest"])
        if self._rows:
            self._rows.load_state_dict(state["rows"])


def _deferred(
    model: nn.Module, options: TrainingOptions, rows_per_step: int
) -> list[FieldEmbedding]:
    """The tables to defer: all, or none."""
    tables = [module for module in model.modules() if isinstance(module, FieldEmbedding)]
    l2 = bool(options.weight_decay) and not options.decoupled_weight_decay
    able = bool(tables) and getattr(model, "reads_rows", False) and not l2
    if options.table_updates == "deferred" and not able:
        raise ConfigError(
            "training.table_updates",
            "is 'deferred', which needs a model that reads rows of FieldEmbeddings, and no L2",
            "set decoupled_weight_decay: true, or table_updates: dense",
        )
    large = any(len(table.weight) > DENSE * rows_per_step for table in tables)
    wanted = options.table_updates == "deferred" or (options.table_updates == "auto" and large)
    return tables if wanted and able else []
