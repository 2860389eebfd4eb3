"""Look-ups in embedding tables: which rows, sums over a row's look-ups, and DeepFM's FM part.

Fields have rows of their own, so a gradient is summed field by field, by several threads at once,
in one order. A task is a field, or in `factors` an example.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from autoloss.kernels.lanes import LANES, load, spread, store, total
from autoloss.kernels.runtime import (
    FAST,
    Kernel,
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
BATCHES = 7  # in the arguments of `number` and `place`: their count, then three for each


@njit(**FAST)
def _number(a, slots, wide):
    """`number` by slots of so many bytes."""
    first, last = share(a[0])
    fields, room = a[0], a[5]
    bounds, found, counts = longs(a[1], fields + 1), ints(a[3], fields, room), longs(a[4], fields)
    numbers, base, outside = ints(a[6], fields, room), 0, -1
    for f in range(first, last):
        counts[f] = 0
    for k in range(a[BATCHES]):
        n = a[BATCHES + 1 + 3 * k]
        ids = longs(a[BATCHES + 2 + 3 * k], n, fields)
        for start in range(0, n, BLOCK):
            for f in range(first, last):
                low, size, count = bounds[f], bounds[f + 1] - bounds[f], np.int32(counts[f])
                for i in range(start, min(start + BLOCK, n)):
                    if i + SLOTS_AHEAD < n:
                        fetch_line(a[2] + wide * (ids[i + SLOTS_AHEAD, f] + low))
                    one = ids[i, f]
                    if not 0 <= one < size:
                        outside = f
                        continue
                    # Written whether new or not: which, no processor foresees. `found` has room.
                    slot = np.int32(slots[low + one])
                    found[f, count] = low + one
                    slot = slot if slot else np.int32(count + 1)
                    slots[low + one] = slot
                    count = max(count, slot)
                    numbers[f, base + i] = slot - 1
                counts[f] = count
        base += n
    for f in range(first, last):
        for k in range(counts[f]):
            slots[found[f, k]] = 0
    if outside >= 0:
        counts[outside] = OUTSIDE


@Kernel
def number(a):
    """fields, bounds, slots, found, counts, room, numbers, batches, then B, ids, - of each.

    Numbers the distinct rows of each field from 0 in the order of their first look-up: `found`
    `int32[F, room]` says which rows they are, `counts` `[F]` how many, `numbers` `int32[F, room]`
    each look-up's, batch behind batch. `slots` has a 0 for every row of the table, before and
    after, of 16 bits if room fits in these, else of 32; field f has its rows from `bounds[f]` to
    `bounds[f + 1]`, and an id beyond them makes `counts[f]` OUTSIDE.
    """
    rows = longs(a[1], a[0] + 1)[a[0]]
    if a[5] < 2**16:
        _number(a, shorts(a[2], rows), 2)
    else:
        _number(a, ints(a[2], rows), 4)


@Kernel
def place(a):
    """fields, starts, rows, found, counts, room, numbers, batches, then B, -, places of each.

    Numbers rows of all fields from 0, those of field f from `starts[f]`: lists them in `rows`, and
    each look-up's in `places` `[B, F]`.
    """
    first, last = share(a[0])
    fields, room = a[0], a[5]
    starts, found, counts = longs(a[1], fields), ints(a[3], fields, room), longs(a[4], fields)
    numbers, base = ints(a[6], fields, room), 0
    for f in range(first, last):
        rows = longs(a[2] + 8 * starts[f], counts[f])
        for k in range(counts[f]):
            rows[k] = found[f, k]
    for k in range(a[BATCHES]):
        n = a[BATCHES + 1 + 3 * k]
        places = longs(a[BATCHES + 3 + 3 * k], n, fields)
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
        found = spread(np.float32(0))
        for place in places:
            found += load(rows + 4 * (size * place + d), size - d)
        store(to + 4 * d, found, size - d)


@Kernel
def sums(a):
    """fields, B, dim, places, looked up `[B, F, dim]`: add it up by row in `[R, dim]`."""
    first, last = share(a[0])
    fields, n, dim = a[0], a[1], a[2]
    places = longs(a[3], n, fields)
    for i in range(n):
        for f in range(first, last):
            _add(a[5] + 4 * dim * places[i, f], a[4] + 4 * dim * (i * fields + f), dim)


@Kernel
def factors(a):
    """B, F, dim, C, places, values, linear, R -> embedded, totals, pairs, first, outside.

    See `_Factors`; a place that is none of the R rows sets `outside`, and all is void.
    """
    begin, end = share(a[0])
    fields, dim, outputs = a[1], a[2], a[3]
    places, pairs = longs(a[4], a[0], fields), floats(a[10], a[0])
    for i in range(begin, end):
        if not _inside(places[i], a[7]):
            longs(a[12], 1)[0] = 1
            return
        pair = spread(np.float32(0))
        for d in range(0, dim, LANES):
            n = dim - d
            sums, squares = spread(np.float32(0)), spread(np.float32(0))
            for f in range(fields):
                value = load(a[5] + 4 * (dim * places[i, f] + d), n)
                store(a[8] + 4 * (dim * (i * fields + f) + d), value, n)
                sums += value
                squares += value * value
            store(a[9] + 4 * (dim * i + d), sums, n)
            pair += sums * sums - squares
        pairs[i] = total(pair) / 2
        _sum(a[6], places[i], outputs, a[11] + 4 * outputs * i)


@Kernel
def factor_sums(a):
    """fields, B, dim, C, places, embedded, totals, their gradients -> of values, of linear."""
    first, last = share(a[0])
    fields, n, dim, outputs = a[0], a[1], a[2], a[3]
    places, of_pairs = longs(a[4], n, fields), floats(a[8], n)
    for i in range(n):
        if i + AHEAD < n:
            for f in range(first, last):
                look_at(a[7] + 4 * dim * ((i + AHEAD) * fields + f))
                look_at(a[5] + 4 * dim * ((i + AHEAD) * fields + f))
                fetch_line(a[10] + 4 * dim * places[i + AHEAD, f])
        for f in range(first, last):
            for d in range(0, dim, LANES):
                to, at = a[10] + 4 * (dim * places[i, f] + d), 4 * (dim * (i * fields + f) + d)
                others = load(a[6] + 4 * (dim * i + d), dim - d) - load(a[5] + at, dim - d)
                own = load(a[7] + at, dim - d) + others * of_pairs[i]
                store(to, load(to, dim - d) + own, dim - d)
            _add(a[11] + 4 * outputs * places[i, f], a[9] + 4 * outputs * i, outputs)


@Kernel
def factor_pulls(a):
    """B, F, dim, C, places, embedded, totals, v `[R, dim]`, vl `[R, C]` -> their gradients' own.

    The transpose of `factor_sums`: v and vl are what a loss changes by with its two results;
    written is what it changes by with the gradients of embedded, pairs and first.
    """
    begin, end = share(a[0])
    fields, dim, outputs = a[1], a[2], a[3]
    places, of_pairs = longs(a[4], a[0], fields), floats(a[10], a[0])
    for i in range(begin, end):
        along = spread(np.float32(0))
        for d in range(0, dim, LANES):
            n = dim - d
            sums = load(a[6] + 4 * (dim * i + d), n)
            for f in range(fields):
                row, at = 4 * (dim * places[i, f] + d), 4 * (dim * (i * fields + f) + d)
                pull = load(a[7] + row, n)
                store(a[9] + at, pull, n)
                along += pull * (sums - load(a[5] + at, n))
        of_pairs[i] = total(along)
        _sum(a[8], places[i], outputs, a[11] + 4 * outputs * i)


@Kernel
def products(a):
    """B, F, dim, places, values, R -> `[B, F dim + pairs]`, outside: embeddings and inner products.

    The pairs i < j of fields are in the order (0, 1), (0, 2), ..., (1, 2), ...
    """
    begin, end = share(a[0])
    fields, dim = a[1], a[2]
    places, width = longs(a[3], a[0], fields), fields * dim + fields * (fields - 1) // 2
    for i in range(begin, end):
        if not _inside(places[i], a[5]):
            longs(a[7], 1)[0] = 1
            return
        out = a[6] + 4 * width * i
        for f in range(fields):
            for d in range(0, dim, LANES):
                value = load(a[4] + 4 * (dim * places[i, f] + d), dim - d)
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
def product_sums(a):
    """fields, B, dim, places, output of `products`, its gradient -> of values `[R, dim]`."""
    first, last = share(a[0])
    fields, n, dim = a[0], a[1], a[2]
    places, width = longs(a[3], n, fields), fields * dim + fields * (fields - 1) // 2
    for i in range(n):
        out, slopes = a[4] + 4 * width * i, floats(a[5] + 4 * width * i, width)
        for f in range(first, last):
            for d in range(0, dim, LANES):
                rest = dim - d
                found = load(a[5] + 4 * (width * i + dim * f + d), rest)
                pair = fields * dim + f - 1  # of (0, f), then (1, f), ..., (f, f + 1), (f, f + 2)
                for g in range(fields):
                    if g != f:
                        found += load(out + 4 * (dim * g + d), rest) * slopes[pair]
                    pair += fields - 2 - g if g < f else 1
                to = a[6] + 4 * (dim * places[i, f] + d)
                store(to, load(to, rest) + found, rest)
