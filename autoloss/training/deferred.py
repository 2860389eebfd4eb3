"""Dense Adam on embedding tables at the cost of the rows that a batch reads.

A row that a batch does not read has a zero gradient, and Adam moves it all the same, by its
momentum. Those steps are made up when the row is next read (see `autoloss.ops.adam_rows`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from autoloss.layers.embedding import FieldEmbedding
from autoloss.ops.adam import AdamOptions, Steps, resumed
from autoloss.ops.adam_rows import Missed, current_rows, moments_of, move_rows
from autoloss.training.device import large_zeros


class DeferredAdam:
    """Adam on tables that are looked up by the same ids; one learning rate.

    A row's weights, means and squares over all tables, and the step they are of, lie side by side
    in `_state` `[V, width]`: memory is what a step waits for. The tables' own values are read once,
    here; they are brought up to date where something looks rows up in them, and by `settle`.

    Weight decay is decoupled (AdamW): L2 in the gradient has no closed form.
    """

    def __init__(self, tables: Iterable[FieldEmbedding], lr: float, **options: Any) -> None:
        self.tables = list(tables)
        self.options = AdamOptions(lr, **options, decoupled=True)
        self._missed = Missed(self.options)
        self.steps: Steps = 0
        self._dims = [table.weight.shape[1] for table in self.tables]
        self._dim = sum(self._dims)
        weights = torch.cat([table.weight.detach() for table in self.tables], dim=1)
        shape = len(weights), 3 * self._dim + 1
        self._state = large_zeros(shape, weights.dtype, weights.device)
        self._state[:, : self._dim] = weights
        self._settled = True
        for table in self.tables:
            table.refresh = self._refresh

    @property
    def lr(self) -> float:
        """The learning rate, the same in all steps."""
        return self.options.lr

    def count_on(self, device: torch.device) -> None:
        """Count the steps there from now on."""
        self.steps = torch.tensor(int(self.steps), device=device)

    @torch.no_grad()
    def open(self, rows: Tensor) -> list[Tensor]:
        """Current values `[R, dim]` of distinct `rows`, a leaf a table, for `step` to move."""
        self._rows = rows
        values = [self._state.new_empty(len(rows), dim) for dim in self._dims]
        self._read(rows, values, keep=True)
        return values

    @property
    def moments(self) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """The means and the squares of the open rows, `[R, dim]` a table."""
        return moments_of(self._state, self._rows, self._dims)

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move the open rows by their gradients, and close them."""
        move_rows(self._state, self._rows, gradients, self.steps, self.options)
        self.steps += 1
        self.moved()

    def moved(self) -> None:
        """Say that a step has been made, be it one that was recorded and done again."""
        self._settled = False

    @torch.no_grad()
    def settle(self) -> None:
        """Bring all rows up to date, and the tables with them."""
        if not self._settled:
            self._read(None, [table.weight for table in self.tables], keep=True)
            self._settled = True

    @torch.no_grad()
    def _refresh(self, table: FieldEmbedding, rows: Tensor) -> None:
        """Who looks `rows` up in a table itself finds them as after the last step."""
        if self._settled:
            return
        rows = torch.unique(rows)
        values = [self._state.new_empty(len(rows), dim) for dim in self._dims]
        self._read(rows, values, keep=False)
        table.weight.index_copy_(0, rows, values[self.tables.index(table)])

    def _read(self, rows: Tensor | None, to: Sequence[Tensor], *, keep: bool) -> None:
        """Write to each table's `[R, dim]` rows of the state (all, if None), brought up to date.

        `keep` them so in the state.
        """
        current_rows(self._state, rows, to, self.steps, self._missed, keep=keep)

    def state_dict(self) -> dict[str, Any]:
        """The rows and the steps. Nothing is made up for it: that would round otherwise."""
        return {"steps": int(self.steps), "rows": self._state, "settled": self._settled}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`; the tables are the model's to load."""
        self.steps = resumed(self.steps, state["steps"])
        self._settled = state["settled"]
        self._state.copy_(state["rows"])
