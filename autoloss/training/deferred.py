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
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from autoloss.adam import fused_step
from autoloss.models.embedding import FieldEmbedding, Window, distinct

CHUNK = 1 << 16  # rows brought up to date at a time, when it is all of them


class DeferredAdam:
    """Adam on tables that are looked up by the same ids; one learning rate.

    Args:
        weight_decay: decoupled (AdamW): L2 in the gradient has no closed form.
    """

    def __init__(
        self,
        tables: Sequence[FieldEmbedding],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.tables = list(tables)
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self.steps = 0
        weights = [table.weight.detach() for table in self.tables]
        self._means = [torch.zeros_like(weight) for weight in weights]
        self._squares = [torch.zeros_like(weight) for weight in weights]
        size, device = len(weights[0]), weights[0].device
        self._last = torch.zeros(size, dtype=torch.int32, device=device)  # step of a row's values
        self._rows = torch.empty(0, dtype=torch.int64)
        self._open: list[list[Tensor]] = []
        self._set_lr(lr)

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
    def open(self, ids: Tensor) -> list[Tensor]:
        """Let the tables read the rows of `ids` `[B, F]` from leaves; the leaves, one a table."""
        self._rows, places, order, starts = distinct((ids + self.tables[0].offsets).flatten())
        self._open = self._current(self._rows)
        leaves = [w.requires_grad_() for w, _, _ in self._open]
        for table, leaf in zip(self.tables, leaves, strict=True):
            table.window = Window(leaf, places, order, starts)
        return leaves

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move the open rows by their gradients, and close them."""
        values, means, squares = (list(part) for part in zip(*self._open, strict=True))
        device = self._last.device
        fused_step(
            values,
            list(gradients),
            means,
            squares,
            [torch.full((), float(self.steps), device=device) for _ in values],
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            decoupled=True,
        )
        self.steps += 1
        self._write(self._rows, self._open)
        for table in self.tables:
            table.window = None

    @torch.no_grad()
    def settle(self, ids: Tensor | None = None) -> None:
        """Bring the rows of `ids` up to date in the tables, or all rows."""
        if ids is not None:
            rows, *_ = distinct((ids + self.tables[0].offsets).flatten())
            self._write(rows, self._current(rows))
            return
        behind = torch.nonzero(self._last < self.steps).flatten()
        for rows in torch.split(behind, CHUNK):
            self._write(rows, self._current(rows))

    def _current(self, rows: Tensor) -> list[list[Tensor]]:
        """Weight, mean and square of `rows`, by table, as after the last step."""
        kind = self._means[0].dtype
        missed = self._missed(self._last.index_select(0, rows), self.steps)
        kept, c, a, b1, b2 = (x.to(kind) for x in missed)
        found = []
        for table, *moments in zip(self.tables, self._means, self._squares, strict=True):
            w, m, v = (x.index_select(0, rows) for x in (table.weight, *moments))
            if self.weight_decay:
                w.mul_(kept)
            w.sub_(m * (self.lr * c) / v.sqrt().add_(self.eps * a))
            found.append([w, m.mul_(b1), v.mul_(b2)])
        return found

    def _write(self, rows: Tensor, values: list[list[Tensor]]) -> None:
        for k, (table, found) in enumerate(zip(self.tables, values, strict=True)):
            for whole, part in zip(
                (table.weight, self._means[k], self._squares[k]), found, strict=True
            ):
                whole.index_copy_(0, rows, part)
        self._last.index_fill_(0, rows, self.steps)

    def state_dict(self) -> dict[str, Any]:
        """Moments and steps, after making up what was missed."""
        self.settle()
        return {"steps": self.steps, "means": self._means, "squares": self._squares}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.steps, self._means, self._squares = state["steps"], state["means"], state["squares"]
        self._last.fill_(self.steps)


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
