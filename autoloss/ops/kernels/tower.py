"""What the derivatives of a tower without batch norm need beside matrix products."""

from __future__ import annotations

import numpy as np
from numba import njit

from autoloss.ops.kernels.lanes import LANES, load, spread, store, total, where_positive
from autoloss.ops.kernels.runtime import CHUNK, FAST, Address, Kernel, floats, share
from autoloss.ops.kernels.transpose import turn


@Kernel
def rectify(
    tasks: int, rows: int, width: int, p: Address, step: int, h: Address, seeds: Address,
    scale: float, unit: Address, seeded: Address, turned: Address, sums: Address
):  # fmt: skip
    """Unit slopes of a layer, from p, those of what it goes into.

    unit `[B, m]` is scale p where h > 0, else 0; seeded is that times the row's seed, turned
    `[m, B]` its transpose, sums `[tasks, m]` add its rows up task by task. unit and seeded may be
    missing. p is `[B, m]` (step m) or the same for every row (step 0).
    """
    first, last = share(tasks)
    scale, part = np.float32(scale), np.empty(CHUNK * LANES, np.float32)
    for k in range(first, last):
        top = k * CHUNK
        high = min(CHUNK, rows - top)
        given = p + 4 * top * step, step, h + 4 * top * width, seeds + 4 * top
        at = 4 * top * width
        to = unit and unit + at, seeded and seeded + at, sums + 4 * k * width, part.ctypes.data
        for left in range(0, width, LANES):
            n = width - left
            _rectified(given, scale, to, high, width, left, n)
            corner = turned + 4 * (left * rows + top)
            turn(part.ctypes.data, LANES, high, min(n, LANES), corner, rows)


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
def dots(tasks: int, rows: int, width: int, x: Address, y: Address, to: Address):
    """Add each row's inner product of x and y `[B, m]` to `[B]`."""
    first, last = share(tasks)
    to = floats(to, rows)
    for i in range(first * CHUNK, min(last * CHUNK, rows)):
        product = spread(np.float32(0))
        for left in range(0, width, LANES):
            n, at = width - left, 4 * (i * width + left)
            product += load(x + at, n) * load(y + at, n)
        to[i] += total(product)
