"""Dense Adam on embedding tables at the cost of the rows that a batch reads.

A row that a batch does not read has a zero gradient, and Adam moves it all the same, by its
momentum. Those steps have a closed form, made up when the row is next read. A row whose moments
were m, v after step s has, after step t = s + k,

    w <- d^k w - lr c m / (sqrt(v) + a eps)          m <- b1^k m          v <- b2^k v

    c     = sum_{i=s+1..t} d^(t-i) (b1 / sqrt(b2))^(i-s) sqrt(1 - b2^i) / (1 - b1^i)
    a c   = sum_{i=s+1..t} d^(t-i) (b1 / b2)^(i-s) (1 - b2^i) / (1 - b1^i)

with d = 1 - lr * decay: exact but for eps, which is matched to first order.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from autoloss.adam import fused_step
from autoloss.kernels import rows as kernels
from autoloss.kernels.runtime import fits
from autoloss.models.embedding import FieldEmbedding
from autoloss.training.device import large_zeros

CHUNK = 1 << 16  # rows brought up to date at a time by torch's operations: of all there are many
_INTEGERS = {torch.float32: torch.int32, torch.float64: torch.int64}  # of the same width


class DeferredAdam:
    """Adam on tables that are looked up by the same ids; one learning rate.

    A row's weights, means and squares over all tables, and the step they are of, lie side by side
    in `_state` `[V, width]`: memory is what a step waits for. The tables' own values are read once,
    here; they are brought up to date where something looks rows up in them, and by `settle`.

    Args:
        weight_decay: decoupled (AdamW): L2 in the gradient has no closed form.
    """

    def __init__(
        self,
        tables: Iterable[FieldEmbedding],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.tables = list(tables)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self.steps = 0
        self._dims = [table.weight.shape[1] for table in self.tables]
        self._dim = sum(self._dims)
        weights = torch.cat([table.weight.detach() for table in self.tables], dim=1)
        shape = len(weights), 3 * self._dim + 1
        self._state = large_zeros(shape, weights.dtype, weights.device)
        self._state[:, : self._dim] = weights
        self._settled = True
        self._set_lr(lr)
        for table in self.tables:
            table.refresh = self._refresh

    @property
    def lr(self) -> float:
        """The learning rate; setting it first makes up all missed steps at the old one."""
        return self._lr

    @lr.setter
    def lr(self, lr: float) -> None:
        self.settle()
        self._set_lr(lr)

    def _set_lr(self, lr: float) -> None:
        self._lr, self._missed = lr, _Missed(self.betas, lr * self.weight_decay)

    @torch.no_grad()
    def open(self, rows: Tensor) -> list[Tensor]:
        """Current values `[R, dim]` of distinct `rows`, a leaf a table, for `step` to move."""
        self._rows = rows
        values = [self._state.new_empty(len(rows), dim) for dim in self._dims]
        self._read(rows, values, keep=True)
        return values

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move the open rows by their gradients, and close them."""
        if fits(self._state):
            kernels.move(
                len(self._rows),
                self._state,
                self._state.shape[1],
                self._dim,
                self._rows,
                self.steps,
                self.lr,
                *self.betas,
                self.eps,
                self.weight_decay,
                len(self._dims),
                *_each([gradient.contiguous() for gradient in gradients]),
            )
        else:
            self._move(gradients)
        self.steps += 1
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
        if not fits(self._state):
            self._read_by_torch(rows, to, keep=keep)
            return
        kernels.current(
            len(self._state) if rows is None else len(rows),
            self._state,
            self._state.shape[1],
            self._dim,
            rows,
            self.steps,
            *self._missed.tables(),
            self.lr,
            self.eps,
            keep,
            len(to),
            *_each(to),
        )

    def _read_by_torch(self, rows: Tensor | None, to: Sequence[Tensor], *, keep: bool) -> None:
        """`_read`, by torch's own operations."""
        device = self._state.device
        every = torch.arange(len(self._state), device=device) if rows is None else rows
        for start in range(0, len(every), CHUNK):
            chunk = every[start : start + CHUNK]
            parts = self._current(self._state.index_select(0, chunk))
            if keep:
                self._state.index_copy_(0, chunk, self._packed(parts, self.steps))
            for value, part in zip(to, torch.split(parts[0], self._dims, dim=1), strict=True):
                value[start : start + CHUNK].copy_(part)

    def _move(self, gradients: Sequence[Tensor]) -> None:
        """`step`, by torch's own operations."""
        weights, means, squares = self._current(self._state.index_select(0, self._rows))
        fused_step(
            [weights],
            [torch.cat(list(gradients), dim=1)],
            [means],
            [squares],
            self.steps,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            decoupled=True,
        )
        parts = weights, means, squares
        self._state.index_copy_(0, self._rows, self._packed(parts, self.steps + 1))

    def _current(self, block: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights, means and squares `[R, dim]` of rows of the state, as after the last step."""
        w, m, v = torch.split(block[:, : 3 * self._dim], self._dim, dim=1)
        last = block.view(_INTEGERS[block.dtype])[:, 3 * self._dim]  # a column of integers' bits
        missed = self._missed(last, self.steps)
        kept, c, a, b1, b2 = (x.to(block.dtype) for x in missed)
        if self.weight_decay:
            w = w * kept
        root = v.contiguous().sqrt_().add_(self.eps * a)  # sqrt is slow where rows lie apart
        moved = torch.addcdiv(w, m * (self.lr * c), root, value=-1)
        return moved, m * b1, v * b2

    def _packed(self, parts: tuple[Tensor, Tensor, Tensor], steps: int) -> Tensor:
        """Rows of the state from weights, means and squares as after `steps`."""
        kind = self._state.dtype
        shape = len(parts[0]), self._state.shape[1] - 3 * self._dim
        last = parts[0].new_full(shape, steps, dtype=_INTEGERS[kind])
        return torch.cat((*parts, last.view(kind)), dim=1)

    def state_dict(self) -> dict[str, Any]:
        """The rows and the steps. Nothing is made up for it: that would round otherwise."""
        return {"steps": self.steps, "rows": self._state, "settled": self._settled}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`; the tables are the model's to load."""
        self.steps, self._settled = state["steps"], state["settled"]
        self._state.copy_(state["rows"])


class _Missed:
    """What `k` steps with a zero gradient do to a row, read off tables.

    With q = ratio / d and tails T[s] = sum_{i>s} q^(i-s) g(i), both sums of the module's docstring
    are d^k (T[s] - q^k T[t]). The tables end where their entries are limits to the last bit.
    """

    def __init__(self, betas: tuple[float, float], decay: float) -> None:
        b1, b2 = betas
        self._d, self._end = 1 - decay, math.ceil(-40 / math.log(b2))
        qs = b1 / math.sqrt(b2) / self._d, b1 / b2 / self._d
        tails = [[q / (1 - q) for q in qs]]
        for i in range(self._end, 0, -1):
            two = (1 - b2**i) / (1 - b1**i)
            gs = two / math.sqrt(1 - b2**i), two
            tails.append([q * (g + tail) for q, g, tail in zip(qs, gs, tails[-1], strict=True)])
        self._tails = torch.tensor(tails[::-1], dtype=torch.float64)
        k = torch.arange(self._end + 1, dtype=torch.float64)
        powers = torch.stack([b**k for b in (b1, b2, *qs)], dim=1)
        # Below 1e-30 the mean is nothing, and as a denormal number slow.
        self._powers = powers.masked_fill_(powers < 1e-30, 0)

    def tables(self) -> tuple[Tensor, Tensor, int, float]:
        """Tails, powers, where they end, and d."""
        return self._tails, self._powers, self._end, self._d

    def __call__(self, last: Tensor, t: int) -> tuple[Tensor, ...]:
        """For rows of step `last` `[R]` at step `t`: d^k, c, a, b1^k and b2^k, each `[R, 1]`."""
        if self._tails.device != last.device:
            self._tails, self._powers = (x.to(last.device) for x in (self._tails, self._powers))
        k = t - last
        powers = self._powers.index_select(0, k.clamp_max(self._end))
        sums = self._tails.index_select(0, last.clamp_max(self._end))
        sums = sums - powers[:, 2:] * self._tails[min(t, self._end)]
        kept = self._d ** k.double().unsqueeze(1) if self._d < 1 else torch.ones_like(sums[:, :1])
        c, ac = torch.split(kept * sums, 1, dim=1)
        return kept, c, torch.where(c > 0, ac / c, 1.0), powers[:, :1], powers[:, 1:2]


def _each(tensors: Sequence[Tensor]) -> list[Tensor | int]:
    """Tables as a kernel takes them, each with its width."""
    return [x for tensor in tensors for x in (tensor, tensor.shape[1])]
