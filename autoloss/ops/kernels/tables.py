"""Look-ups in embedding tables: which rows, sums over a row's look-ups, and DeepFM's FM part.

Fields have rows of their own, so a gradient is summed field by field, by several threads at once,
in one order. A task is a field, or in `factors` an example.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from autoloss.ops.kernels.lanes import LANES, load, spread, store, total
from autoloss.ops.kernels.runtime import (
    FAST,
    Address,
    Kernel,
    Rest,
    fetch_line,
    floats,
    ints,
    longs,
    look_at,
    share,
    shorts,
)

AHEAD = 4  # examples whose rows are asked for before they are needed
SLOTS_AHEAD = 16  # examples whose slots are
BLOCK = 64  # examples whose ids stay in the cache while fields are gone through
OUTSIDE = -(1 << 40)


@njit(**FAST)
def _number(fields, bounds, slots, slot_at, wide, distinct, counts, room, numbers, batches):
    """`number` by slots of so many bytes."""
    first, last = share(fields)
    distinct, counts = ints(distinct, fields, room), longs(counts, fields)
    numbers, base, outside = ints(numbers, fields, room), 0, -1
    for f in range(first, last):
        counts[f] = 0
    for k in range(len(batches)):
        n = batches[k, 0]
        ids = longs(batches[k, 1], n, fields)
        for start in range(0, n, BLOCK):
            for f in range(first, last):
                low, size, count = bounds[f], bounds[f + 1] - bounds[f], np.int32(counts[f])
                for i in range(start, min(start + BLOCK, n)):
                    if i + SLOTS_AHEAD < n:
                        fetch_line(slot_at + wide * (ids[i + SLOTS_AHEAD, f] + low))
                    one = ids[i, f]
                    if not 0 <= one < size:
                        outside = f
                        continue
                    # Written whether new or not: which, no processor foresees. They have room.
                    slot = np.int32(slots[low + one])
                    distinct[f, count] = low + one
                    slot = slot if slot else np.int32(count + 1)
                    slots[low + one] = slot
                    count = max(count, slot)
                    numbers[f, base + i] = slot - 1
                counts[f] = count
        base += n
    for f in range(first, last):
        for k in range(counts[f]):
            slots[distinct[f, k]] = 0
    if outside >= 0:
        counts[outside] = OUTSIDE


@Kernel
def number(
    fields: int, bounds: Address, slots: Address, distinct: Address, counts: Address, room: int,
    numbers: Address, batches: int, each: Rest
):  # fmt: skip
    """Number the distinct rows of each field from 0, in the order of their first look-up.

    `distinct` `int32[F, room]` says which rows they are, `counts` `[F]` how many, `numbers`
    `int32[F, room]` each look-up's, batch behind batch. `each` has of a batch its size and the
    addresses of its ids and places. `slots` has a 0 for every row of the table, before and after,
    of 16 bits if room fits in these, else of 32; field f has its rows from `bounds[f]` to
    `bounds[f + 1]`, and an id beyond them makes `counts[f]` OUTSIDE.
    """
    ends, each = longs(bounds, fields + 1), longs(each, batches, 3)
    short, long = shorts(slots, ends[fields]), ints(slots, ends[fields])
    if room < 2**16:
        _number(fields, ends, short, slots, 2, distinct, counts, room, numbers, each)
    else:
        _number(fields, ends, long, slots, 4, distinct, counts, room, numbers, each)


@Kernel
def place(
    fields: int, starts: Address, rows: Address, distinct: Address, counts: Address, room: int,
    numbers: Address, batches: int, each: Rest
):  # fmt: skip
    """Number rows of all fields from 0, those of field f from `starts[f]`, after `number`.

    They are listed in `rows`, and each look-up's number in the places `[B, F]` of each batch.
    """
    first, last = share(fields)
    starts, distinct = longs(starts, fields), ints(distinct, fields, room)
    counts, numbers, base = longs(counts, fields), ints(numbers, fields, room), 0
    each = longs(each, batches, 3)
    for f in range(first, last):
        own = longs(rows + 8 * starts[f], counts[f])
        for k in range(counts[f]):
            own[k] = distinct[f, k]
    for k in range(batches):
        n = each[k, 0]
        places = longs(each[k, 2], n, fields)
        # Examples are shared out here: two threads that write to one line wait for each other.
        top, bottom = share(n)
        for start in range(top, bottom, BLOCK):
            for f in range(fields):
                for i in range(start, min(start + BLOCK, bottom)):
                    places[i, f] = starts[f] + numbers[f, base + i]
        base += n


@njit(**FAST)
def _inside(places, rows):
    """Whether an example's places are all rows that there are."""
    inside = True
    for one in places:
        inside &= 0 <= one < rows
    return inside


@njit(**FAST)
def _add(to, address, size):
    """Add the row at `address` to the one at `to`."""
    for d in range(0, size, LANES):
        at, n = to + 4 * d, size - d
        store(at, load(at, n) + load(address + 4 * d, n), n)


@njit(**FAST)
def _sum(rows, places, size, to):
    """Write the sum of an example's rows."""
    for d in range(0, size, LANES):
        added = spread(np.float32(0))
        for place in places:
            added += load(rows + 4 * (size * place + d), size - d)
        store(to + 4 * d, added, size - d)


@Kernel
def factors(
    examples: int, fields: int, dim: int, outputs: int, places: Address, values: Address,
    linear: Address, rows: int, embedded: Address, totals: Address, pairs: Address, first: Address,
    outside: Address
):  # fmt: skip
    """Of `values` `[R, dim]` and `linear` `[R, C]`: `factorise`'s results, and totals `[B, dim]`
    of the embeddings. A place that is no row sets `outside`, and all is void.
    """
    begin, end = share(examples)
    places, pairs = longs(places, examples, fields), floats(pairs, examples)
    for i in range(begin, end):
        if not _inside(places[i], rows):
            longs(outside, 1)[0] = 1
            return
        pair = spread(np.float32(0))
        for d in range(0, dim, LANES):
            n = dim - d
            sums, squares = spread(np.float32(0)), spread(np.float32(0))
            for f in range(fields):
                value = load(values + 4 * (dim * places[i, f] + d), n)
                store(embedded + 4 * (dim * (i * fields + f) + d), value, n)
                sums += value
                squares += value * value
            store(totals + 4 * (dim * i + d), sums, n)
            pair += sums * sums - squares
        pairs[i] = total(pair) / 2
        _sum(linear, places[i], outputs, first + 4 * outputs * i)


@Kernel
def factor_sums(
    fields: int, n: int, dim: int, outputs: int, places: Address, embedded: Address,
    totals: Address, of_embedded: Address, of_pairs: Address, of_first: Address, of_values: Address,
    of_linear: Address
):  # fmt: skip
    """The gradients of `values` and `linear`, from those of the three results of `factors`."""
    first, last = share(fields)
    places, of_pairs = longs(places, n, fields), floats(of_pairs, n)
    for i in range(n):
        if i + AHEAD < n:
            for f in range(first, last):
                look_at(of_embedded + 4 * dim * ((i + AHEAD) * fields + f))
                look_at(embedded + 4 * dim * ((i + AHEAD) * fields + f))
                fetch_line(of_values + 4 * dim * places[i + AHEAD, f])
        for f in range(first, last):
            for d in range(0, dim, LANES):
                to, at = of_values + 4 * (dim * places[i, f] + d), 4 * (dim * (i * fields + f) + d)
                others = load(totals + 4 * (dim * i + d), dim - d) - load(embedded + at, dim - d)
                own = load(of_embedded + at, dim - d) + others * of_pairs[i]
                store(to, load(to, dim - d) + own, dim - d)
            _add(of_linear + 4 * outputs * places[i, f], of_first + 4 * outputs * i, outputs)


@Kernel
def factor_pulls(
    examples: int, fields: int, dim: int, outputs: int, places: Address, embedded: Address,
    totals: Address, v: Address, vl: Address, of_embedded: Address, of_pairs: Address,
    of_first: Address
):  # fmt: skip
    """The transpose of `factor_sums`: v `[R, dim]` and vl `[R, C]` are what a loss changes by with
    its two results; written is what it changes by with the gradients of embedded, pairs and first.
    """
    begin, end = share(examples)
    places, of_pairs = longs(places, examples, fields), floats(of_pairs, examples)
    for i in range(begin, end):
        along = spread(np.float32(0))
        for d in range(0, dim, LANES):
            n = dim - d
            sums = load(totals + 4 * (dim * i + d), n)
            for f in range(fields):
                row, at = 4 * (dim * places[i, f] + d), 4 * (dim * (i * fields + f) + d)
                pull = load(v + row, n)
                store(of_embedded + at, pull, n)
                along += pull * (sums - load(embedded + at, n))
        of_pairs[i] = total(along)
        _sum(vl, places[i], outputs, of_first + 4 * outputs * i)


@Kernel
def products(
    examples: int, fields: int, dim: int, places: Address, values: Address, rows: int, to: Address,
    outside: Address
):  # fmt: skip
    """Embeddings and inner products, `[B, F dim + pairs]`, of `values` `[R, dim]`.

    A place that is no row sets `outside`. The pairs of fields are in the order (0, 1), (0, 2), ...,
    (1, 2), ...
    """
    begin, end = share(examples)
    places, width = longs(places, examples, fields), fields * dim + fields * (fields - 1) // 2
    for i in range(begin, end):
        if not _inside(places[i], rows):
            longs(outside, 1)[0] = 1
            return
        out = to + 4 * width * i
        for f in range(fields):
            for d in range(0, dim, LANES):
                value = load(values + 4 * (dim * places[i, f] + d), dim - d)
                store(out + 4 * (dim * f + d), value, dim - d)
        pairs, k = floats(out + 4 * dim * fields, width - fields * dim), 0
        for f in range(fields):
            for g in range(f + 1, fields):
                product = spread(np.float32(0))
                for d in range(0, dim, LANES):
                    one, other = out + 4 * (dim * f + d), out + 4 * (dim * g + d)
                    product += load(one, dim - d) * load(other, dim - d)
                pairs[k] = total(product)
                k += 1


@Kernel
def product_sums(
    fields: int, n: int, dim: int, places: Address, output: Address, gradient: Address,
    of_values: Address
):  # fmt: skip
    """The gradient of `values` `[R, dim]`, from the output of `products` and its gradient."""
    first, last = share(fields)
    places, width = longs(places, n, fields), fields * dim + fields * (fields - 1) // 2
    for i in range(n):
        out, slopes = output + 4 * width * i, floats(gradient + 4 * width * i, width)
        for f in range(first, last):
            for d in range(0, dim, LANES):
                rest = dim - d
                slope = load(gradient + 4 * (width * i + dim * f + d), rest)
                pair = fields * dim + f - 1  # of (0, f), then (1, f), ..., (f, f + 1), (f, f + 2)
                for g in range(fields):
                    if g != f:
                        slope += load(out + 4 * (dim * g + d), rest) * slopes[pair]
                    pair += fields - 2 - g if g < f else 1
                to = of_values + 4 * (dim * places[i, f] + d)
                store(to, load(to, rest) + slope, rest)
