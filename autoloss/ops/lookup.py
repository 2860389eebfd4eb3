"""Look-ups in embedding tables, and which rows they read.

A look-up, not an `EmbeddingBag`: the latter's gradient has no second derivative, which a
hypergradient needs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from autoloss.ops.kernels import tables as kernels


def lookup(values: Tensor, places: Tensor) -> Tensor:
    """`values[places]`, `[R, dim]` and `[B, F]` -> `[B, F, dim]`.

    By `index_select`: its gradient is faster than an embedding's.
    """
    return values.index_select(0, places.flatten()).view(*places.shape, values.shape[1])


def slots_for(table: Tensor, batches: Sequence[Tensor], slots: Tensor | None) -> Tensor | None:
    """What `distinct_rows` needs of a table on a CPU: `slots`, if these are of the right type."""
    if not table.is_cpu or batches[0].dim() > 2:
        return None
    kind = torch.uint16 if sum(len(ids) for ids in batches) < 2**16 else torch.int32
    fit = slots is not None and slots.dtype is kind
    return slots if fit else torch.zeros(len(table), dtype=kind)


def _rows_in_use(rows: Tensor, nobodys: Tensor) -> tuple[Tensor, Tensor]:
    """The distinct ones of `rows` `[N]`, then `nobodys` until there are N; each one's place there.

    How many are distinct no shape says: a device that had to would be waited for.
    """
    found, order = rows.sort(stable=True)
    new = torch.cat((torch.zeros_like(found[:1]), (found[1:] != found[:-1]).long()))
    slot = new.cumsum(0)
    used = nobodys.expand_as(found).scatter(0, slot, found)  # the same number where a row repeats
    return used, torch.empty_like(slot).scatter_(0, order, slot)


def distinct_rows(
    batches: Sequence[Tensor], bounds: Tensor, slots: Tensor | None
) -> tuple[Tensor, list[Tensor]]:
    """The rows `[R]` that batches of ids `[B, F]` read, each once, and each id's place there.

    Field f has the rows from `bounds[f]` to `bounds[f + 1]`. Those of a field lie together.

    Of a stack, ids are `[S, B, F]` and bounds `[S, F + 1]`, and the rows are filled up to a number
    that no id changes, with one that no id reads, behind all tables.

    Raises:
        IndexError: an id is negative, or not below the size of its field (checked on CPUs, of one
            run).
    """
    if bounds.dim() > 1:
        looked_up = torch.cat([ids + bounds[:, None, :-1] for ids in batches], dim=1)
        used, where = _rows_in_use(looked_up.flatten(), bounds[-1, -1])
        sizes = [ids.shape[1] for ids in batches]
        split = torch.split(where.view(looked_up.shape), sizes, dim=1)
        return used, [places.contiguous() for places in split]
    if slots is None:
        rows = [ids + bounds[:-1] for ids in batches]
        every, places = torch.unique(torch.cat(rows), return_inverse=True)
        return every, list(torch.split(places, [len(ids) for ids in batches]))
    fields, room = len(bounds) - 1, sum(len(ids) for ids in batches)
    numbered = torch.empty(fields, room, dtype=torch.int32)
    numbers = torch.empty_like(numbered)
    counts = torch.empty(fields, dtype=torch.int64)
    given = [ids.long().contiguous() for ids in batches]
    to = [torch.empty_like(ids) for ids in given]
    each = [x for ids, one in zip(given, to, strict=True) for x in (len(ids), ids, one)]
    both = numbered, counts, room, numbers, len(given), *each
    kernels.number(fields, bounds, slots, *both)
    ends = counts.cumsum(0)
    if (total := int(ends[-1])) < 0:
        raise IndexError("an id is not below the size of its field")
    starts, distinct = ends - counts, counts.new_empty(total)
    kernels.place(fields, starts, distinct, *both)
    return distinct, to
