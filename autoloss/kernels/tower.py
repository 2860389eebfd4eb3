"""What the derivatives of a tower without batch norm need beside matrix products."""

from __future__ import annotations

import numpy as np
from numba import njit

from autoloss.kernels.lanes import LANES, load, spread, store, total, where_positive
from autoloss.kernels.runtime import CHUNK, FAST, Kernel, floats, real, share
from autoloss.kernels.transpose import turn


@Kernel
def rectify(a):
    """tasks, B, m, p, p's step, h, seeds, scale -> unit, seeded, turned, sums.

    unit `[B, m]` is scale p where h > 0, else 0; seeded is that times the row's seed, turned
    `[m, B]` its transpose, sums `[tasks, m]` add its rows up task by task. unit and seeded may be
    missing. p is `[B, m]` (step m) or the same for every row (step 0).
    """
    first, last = share(a[0])
    rows, width = a[1], a[2]
    scale, part = np.float32(real(a[7])), np.empty(CHUNK * LANES, np.float32)
    for k in range(first, last):
        top = k * CHUNK
        high = min(CHUNK, rows - top)
        given = a[3] + 4 * top * a[4], a[4], a[5] + 4 * top * width, a[6] + 4 * top
        at = 4 * top * width
        to = a[8] and a[8] + at, a[9] and a[9] + at, a[11] + 4 * k * width, part.ctypes.data
        for left in range(0, width, LANES):
            n = width - left
            _rectified(given, scale, to, high, width, left, n)
            turned = a[10] + 4 * (left * rows + top)
            turn(part.ctypes.data, LANES, high, min(n, LANES), turned, rows)


@njit(**FAST)
def _rectified(given, scale, to, rows, width, left, n):
    """Of n columns; the seeded ones also to `part` `[rows, LANES]`."""
    p, step, h, seed_at = given
    unit, seeded, sums_at, part = to
    seeds, sums = floats(seed_at, rows), spread(np.float32(0))
    for i in range(rows):
        at = 4 * (i * width + left)
        value = where_positive(load(h + at, n), load(p + 4 * (i * step + left), n)) * scale
        if unit:
            store(unit + at, value, n)
        value = value * seeds[i]
        if seeded:
            store(seeded + at, value, n)
        store(part + 4 * i * LANES, value, LANES)
        sums += value
    store(sums_at + 4 * left, sums, n)


@Kernel
def dots(a):
    """tasks, B, m, x, y, to `[B]`: of each row of x and y the inner product is added to `to`."""
    first, last = share(a[0])
    rows, width, x, y = a[1], a[2], a[3], a[4]
    to = floats(a[5], rows)
    for i in range(first * CHUNK, min(last * CHUNK, rows)):
        found = spread(np.float32(0))
        for left in range(0, width, LANES):
            n, at = width - left, 4 * (i * width + left)
            found += load(x + at, n) * load(y + at, n)
        to[i] += total(found)
