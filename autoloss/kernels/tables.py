"""Look-ups in embedding tables: which rows, sums over a row's look-ups, and DeepFM's FM part.

Fields have rows of their own, so a gradient is summed field by field, by several threads at once,
in one order. A task is a field, or in `factors` an example.
"""

from __future__ import annotations

import numpy as np

from autoloss.kernels.runtime import Kernel, fetch, floats, ints, longs, share

AHEAD = 4  # examples whose slots are asked for before they are needed
OUTSIDE = -(1 << 40)
BATCHES = 7  # in the arguments of `number` and `place`: their count, then three for each


@Kernel
def number(a):
    """fields, bounds, slots, found, counts, room, -, batches, then B, ids, places of each.

    Numbers the distinct rows of each field from 0 in the order of their first look-up: `found`
    `int32[F, room]` says which rows they are, `counts` `[F]` how many, `places` `[B, F]` each
    look-up's number. `slots` has a 0 for every row of the table, before and after; field f has its
    rows from `bounds[f]` to `bounds[f + 1]`, and an id beyond them makes `counts[f]` OUTSIDE.
    """
    first, last = share(a[0])
    fields, room = a[0], a[5]
    bounds, found, counts = longs(a[1], fields + 1), ints(a[3], fields, room), longs(a[4], fields)
    slots = ints(a[2], bounds[fields])
    outside = -1
    for f in range(first, last):
        counts[f] = 0
    for k in range(a[BATCHES]):
        n = a[BATCHES + 1 + 3 * k]
        ids = longs(a[BATCHES + 2 + 3 * k], n, fields)
        places = longs(a[BATCHES + 3 + 3 * k], n, fields)
        for i in range(n):
            if i + AHEAD < n:
                for f in range(first, last):
                    fetch(a[2] + 4 * (ids[i + AHEAD, f] + bounds[f]), 4)
            for f in range(first, last):
                row = ids[i, f] + bounds[f]
                if row < bounds[f] or row >= bounds[f + 1]:
                    outside = f
                    continue
                slot = slots[row]
                if slot == 0:
                    found[f, counts[f]] = row
                    counts[f] += 1
                    slot = counts[f]
                    slots[row] = slot
                places[i, f] = slot - 1
    for f in range(first, last):
        for k in range(counts[f]):
            slots[found[f, k]] = 0
    if outside >= 0:
        counts[outside] = OUTSIDE


@Kernel
def place(a):
    """fields, starts, rows, found, counts, room, -, batches, then B, -, places of each.

    Numbers rows of all fields from 0, those of field f from `starts[f]`; lists them in `rows`.
    """
    first, last = share(a[0])
    fields, room = a[0], a[5]
    starts, found, counts = longs(a[1], fields), ints(a[3], fields, room), longs(a[4], fields)
    for f in range(first, last):
        rows = longs(a[2] + 8 * starts[f], counts[f])
        for k in range(counts[f]):
            rows[k] = found[f, k]
    for k in range(a[BATCHES]):
        n = a[BATCHES + 1 + 3 * k]
        places = longs(a[BATCHES + 3 + 3 * k], n, fields)
        for i in range(n):
            for f in range(first, last):
                places[i, f] += starts[f]


@Kernel
def sums(a):
    """fields, B, dim, places, looked up `[B, F, dim]`: add it up by row in `[R, dim]`."""
    first, last = share(a[0])
    fields, n, dim = a[0], a[1], a[2]
    places = longs(a[3], n, fields)
    for i in range(n):
        for f in range(first, last):
            one = floats(a[4] + 4 * dim * (i * fields + f), dim)
            to = floats(a[5] + 4 * dim * places[i, f], dim)
            for d in range(dim):
                to[d] += one[d]


@Kernel
def factors(a):
    """B, F, dim, C, places, values, linear, R -> embedded, totals, pairs, first, outside.

    See `_Factors`; a place that is none of the R rows is left out, and `outside` set.
    """
    begin, end = share(a[0])
    fields, dim, outputs = a[1], a[2], a[3]
    places, pairs = longs(a[4], a[0], fields), floats(a[10], a[0])
    squares = np.empty(dim, np.float32)
    for i in range(begin, end):
        total, first = floats(a[9] + 4 * dim * i, dim), floats(a[11] + 4 * outputs * i, outputs)
        total[:] = 0
        first[:] = 0
        squares[:] = 0
        for f in range(fields):
            if places[i, f] < 0 or places[i, f] >= a[7]:
                longs(a[12], 1)[0] = 1
                continue
            value = floats(a[5] + 4 * dim * places[i, f], dim)
            to = floats(a[8] + 4 * dim * (i * fields + f), dim)
            for d in range(dim):
                to[d] = value[d]
            for d in range(dim):
                total[d] += value[d]
            for d in range(dim):
                squares[d] += value[d] * value[d]
            term = floats(a[6] + 4 * outputs * places[i, f], outputs)
            for c in range(outputs):
                first[c] += term[c]
        pair = np.float32(0)
        for d in range(dim):
            pair += total[d] * total[d] - squares[d]
        pairs[i] = pair / 2


@Kernel
def factor_sums(a):
    """fields, B, dim, C, places, embedded, totals, their gradients -> of values, of linear."""
    first, last = share(a[0])
    fields, n, dim, outputs = a[0], a[1], a[2], a[3]
    places, of_pairs = longs(a[4], n, fields), floats(a[8], n)
    for i in range(n):
        total = floats(a[6] + 4 * dim * i, dim)
        of_first = floats(a[9] + 4 * outputs * i, outputs)
        s = of_pairs[i]
        for f in range(first, last):
            one = floats(a[5] + 4 * dim * (i * fields + f), dim)
            gradient = floats(a[7] + 4 * dim * (i * fields + f), dim)
            to = floats(a[10] + 4 * dim * places[i, f], dim)
            for d in range(dim):
                to[d] += gradient[d] + s * (total[d] - one[d])
            term = floats(a[11] + 4 * outputs * places[i, f], outputs)
            for c in range(outputs):
                term[c] += of_first[c]


@Kernel
def factor_pulls(a):
    """B, F, dim, C, places, embedded, totals, v `[R, dim]`, vl `[R, C]` -> their gradients' own.

    The transpose of `factor_sums`: v and vl are what a loss changes by with its two results;
    written is what it changes by with the gradients of embedded, pairs and first.
    """
    begin, end = share(a[0])
    fields, dim, outputs = a[1], a[2], a[3]
    places, of_pairs = longs(a[4], a[0], fields), floats(a[10], a[0])
    along = np.empty(dim, np.float32)
    for i in range(begin, end):
        total, of_first = floats(a[6] + 4 * dim * i, dim), floats(a[11] + 4 * outputs * i, outputs)
        along[:] = 0
        of_first[:] = 0
        for f in range(fields):
            one = floats(a[5] + 4 * dim * (i * fields + f), dim)
            pull = floats(a[7] + 4 * dim * places[i, f], dim)
            to = floats(a[9] + 4 * dim * (i * fields + f), dim)
            for d in range(dim):
                to[d] = pull[d]
            for d in range(dim):
                along[d] += pull[d] * (total[d] - one[d])
            term = floats(a[8] + 4 * outputs * places[i, f], outputs)
            for c in range(outputs):
                of_first[c] += term[c]
        pair = np.float32(0)
        for d in range(dim):
            pair += along[d]
        of_pairs[i] = pair


@Kernel
def products(a):
    """B, F, dim, places, values, R -> `[B, F dim + pairs]`, outside: embeddings and inner products.

    The pairs i < j of fields are in the order (0, 1), (0, 2), ..., (1, 2), ...
    """
    begin, end = share(a[0])
    fields, dim = a[1], a[2]
    places, width = longs(a[3], a[0], fields), fields * dim + fields * (fields - 1) // 2
    for i in range(begin, end):
        out = a[6] + 4 * width * i
        for f in range(fields):
            if places[i, f] < 0 or places[i, f] >= a[5]:
                longs(a[7], 1)[0] = 1
                continue
            value, to = floats(a[4] + 4 * dim * places[i, f], dim), floats(out + 4 * dim * f, dim)
            for d in range(dim):
                to[d] = value[d]
        pairs, k = floats(out + 4 * dim * fields, width - fields * dim), 0
        for f in range(fields):
            one = floats(out + 4 * dim * f, dim)
            for g in range(f + 1, fields):
                other = floats(out + 4 * dim * g, dim)
                product = np.float32(0)
                for d in range(dim):
                    product += one[d] * other[d]
                pairs[k] = product
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
            to = floats(a[6] + 4 * dim * places[i, f], dim)
            own = floats(a[5] + 4 * (width * i + dim * f), dim)
            for d in range(dim):
                to[d] += own[d]
            for g in range(fields):
                if g == f:
                    continue
                low, high = min(f, g), max(f, g)
                pair = low * (2 * fields - low - 1) // 2 + high - low - 1
                s, other = slopes[fields * dim + pair], floats(out + 4 * dim * g, dim)
                for d in range(dim):
                    to[d] += s * other[d]
