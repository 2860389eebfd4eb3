"""Rows of Adam's state that were not moved for some steps: brought up to date, and moved.

A row is weights, means and squares, `dim` of each over all tables, and the step they are of, whose
integer has the width of the others. A step with a zero gradient moves a row too, by its momentum;
those steps have a closed form. A row whose moments were m, v after step s has, after step
t = s + k,

    w <- d^k w - lr c m / (sqrt(v) + a eps)          m <- b1^k m          v <- b2^k v

    c     = sum_{i=s+1..t} d^(t-i) (b1 / sqrt(b2))^(i-s) sqrt(1 - b2^i) / (1 - b1^i)
    a c   = sum_{i=s+1..t} d^(t-i) (b1 / b2)^(i-s) (1 - b2^i) / (1 - b1^i)

with d = 1 - lr * decay: exact but for eps, which is matched to first order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from autoloss.ops.adam import AdamOptions, Steps, fused_step
from autoloss.ops.kernels import rows as kernels
from autoloss.ops.kernels.runtime import fits

CHUNK = 1 << 16  # rows at a time by torch's operations, if it is all: of these there are many
_INTEGERS = {torch.float32: torch.int32, torch.float64: torch.int64}  # of the same width


class Missed:
    """What `k` steps with a zero gradient do to a row, read off tables.

    With q = ratio / d and tails T[s] = sum_{i>s} q^(i-s) g(i), both sums of the module's docstring
    are d^k (T[s] - q^k T[t]). The tables end where their entries are limits to the last bit.
    """

    def __init__(self, options: AdamOptions) -> None:
        self.options, (b1, b2) = options, options.betas
        self._d = 1 - options.lr * options.weight_decay
        self._end = math.ceil(-40 / math.log(b2))
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

    def _tail(self, t: Steps) -> Tensor:
        if isinstance(t, int):
            return self._tails[min(t, self._end)]
        return self._tails.index_select(0, t.clamp_max(self._end).view(1))

    def __call__(self, last: Tensor, t: Steps) -> tuple[Tensor, ...]:
        """For rows of step `last` `[R]` at step `t`: d^k, c, a, b1^k and b2^k, each `[R, 1]`."""
        if self._tails.device != last.device:
            self._tails, self._powers = (x.to(last.device) for x in (self._tails, self._powers))
        k = t - last
        powers = self._powers.index_select(0, k.clamp_max(self._end))
        sums = self._tails.index_select(0, last.clamp_max(self._end))
        sums = sums - powers[:, 2:] * self._tail(t)
        kept = self._d ** k.double().unsqueeze(1) if self._d < 1 else torch.ones_like(sums[:, :1])
        c, ac = torch.split(kept * sums, 1, dim=1)
        return kept, c, (ac / c).masked_fill_(c <= 0, 1.0), powers[:, :1], powers[:, 1:2]


def current_rows(
    state: Tensor,
    rows: Tensor | None,
    to: Sequence[Tensor],
    steps: Steps,
    missed: Missed,
    *,
    keep: bool,
) -> None:
    """Write to each table's `[R, dim]` rows of the state, as after `steps`; all rows, if None.

    `keep` them so in the state `[V, width]`.
    """
    dims, lr, eps = [table.shape[1] for table in to], missed.options.lr, missed.options.eps
    if fits(state) and isinstance(steps, int):
        size = len(state) if rows is None else len(rows)
        given = state, state.shape[1], sum(dims), rows, steps, *missed.tables(), lr, eps, keep
        kernels.current(size, *given, len(to), *_each(to))
        return
    every = torch.arange(len(state), device=state.device) if rows is None else rows
    at_once = CHUNK if rows is None else max(1, len(rows))
    for start in range(0, len(every), at_once):
        chunk = every[start : start + at_once]
        block = state.index_select(0, chunk)
        w, m, v, last = _split(block, sum(dims))
        kept, c, a, b1, b2 = (x.to(block.dtype) for x in missed(last, steps))
        root = v.contiguous().sqrt_().add_(eps * a)  # sqrt is slow where rows lie apart
        moved = torch.addcdiv(w * kept, m * (lr * c), root, value=-1)
        if keep:
            state.index_copy_(0, chunk, _packed(block, [moved, m * b1, v * b2], steps))
        for value, part in zip(to, torch.split(moved, dims, dim=1), strict=True):
            value[start : start + at_once].copy_(part)


def move_rows(
    state: Tensor,
    rows: Tensor,
    gradients: Sequence[Tensor],
    steps: Steps,
    options: AdamOptions,
) -> None:
    """A step of AdamW on rows that are as after `steps`, by each table's gradient `[R, dim]`."""
    dim = sum(gradient.shape[1] for gradient in gradients)
    if fits(state) and isinstance(steps, int):
        lr, betas, eps, weight_decay, _ = options
        each = _each([gradient.contiguous() for gradient in gradients])
        numbers = steps, lr, *betas, eps, weight_decay, len(gradients)
        kernels.move(len(rows), state, state.shape[1], dim, rows, *numbers, *each)
        return
    block = state.index_select(0, rows)
    parts = [part.contiguous() for part in _split(block, dim)[:3]]
    gradient = [torch.cat(list(gradients), dim=1)]
    fused_step(parts[:1], gradient, parts[1:2], parts[2:], steps, options)
    state.index_copy_(0, rows, _packed(block, parts, steps + 1))


def moments_of(
    state: Tensor, rows: Tensor, dims: Sequence[int]
) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
    """Means and squares `[R, dim]` of each table's `rows`, as the state has them."""
    _, means, squares, _ = _split(state.index_select(0, rows), sum(dims))
    return torch.split(means, list(dims), dim=1), torch.split(squares, list(dims), dim=1)


def _split(block: Tensor, dim: int) -> tuple[Tensor, ...]:
    """Weights, means and squares `[R, dim]`, and the steps `[R]`."""
    steps = block.view(_INTEGERS[block.dtype])[:, 3 * dim]  # a column of integers' bits
    return *torch.split(block[:, : 3 * dim], dim, dim=1), steps


def _packed(block: Tensor, parts: list[Tensor], steps: Steps) -> Tensor:
    """Rows like `block` of weights, means and squares as after `steps`."""
    shape = len(block), block.shape[1] - 3 * parts[0].shape[1]
    kind = _INTEGERS[block.dtype]
    if isinstance(steps, int):
        last = block.new_full(shape, steps, dtype=kind)
    else:
        last = steps.to(kind).expand(shape).contiguous()
    return torch.cat((*parts, last.view(block.dtype)), dim=1)


def _each(tensors: Sequence[Tensor]) -> list[Tensor | int]:
    """Tables as a kernel takes them, each with its width."""
    return [x for tensor in tensors for x in (tensor, tensor.shape[1])]
