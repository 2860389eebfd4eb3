"""Deferred Adam's rows (autoloss.training.deferred): brought up to date, and moved by a gradient.

A row of the state is weights, means and squares, `dim` of each, and the step they are of. A task is
a row.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from autoloss.kernels.lanes import LANES, load, root, store
from autoloss.kernels.runtime import FAST, Kernel, doubles, fetch, floats, ints, longs, real, share

AHEAD = 24  # rows whose memory is asked for before it is needed


@njit(**FAST)
def _caught_up(w_at, dim, stay, move, raised, b1, b2, keep, to, n):
    """n numbers of a row from `w_at` on, brought up to date: written to `to`, kept if asked."""
    if n == 1:  # a linear term: a root and a division of 16 numbers cost four times one's
        w, m, v = floats(w_at, 1), floats(w_at + 4 * dim, 1), floats(w_at + 8 * dim, 1)
        moved = w[0] * stay - m[0] * move / (np.sqrt(v[0]) + raised)
        floats(to, 1)[0] = moved
        if keep:
            w[0], m[0], v[0] = moved, m[0] * b1, v[0] * b2
        return
    mean, square = load(w_at + 4 * dim, n), load(w_at + 8 * dim, n)
    weight = load(w_at, n) * stay - mean * move / (root(square) + raised)
    store(to, weight, n)
    if keep:
        store(w_at, weight, n)
        store(w_at + 4 * dim, mean * b1, n)
        store(w_at + 8 * dim, square * b2, n)


@njit(**FAST)
def _stepped(w_at, dim, g_at, b1, b2, c1, c2, kept, size, steep, eps, n):
    """n numbers of a row from `w_at` on, moved by their gradient."""
    if n == 1:
        w, m, v = floats(w_at, 1), floats(w_at + 4 * dim, 1), floats(w_at + 8 * dim, 1)
        g = floats(g_at, 1)[0]
        m[0] = m[0] * b1 + g * c1
        v[0] = v[0] * b2 + g * c2 * g
        w[0] = w[0] * kept - m[0] * size / (np.sqrt(v[0]) * steep + eps)
        return
    g = load(g_at, n)
    mean = load(w_at + 4 * dim, n) * b1 + g * c1
    square = load(w_at + 8 * dim, n) * b2 + g * c2 * g
    store(w_at + 4 * dim, mean, n)
    store(w_at + 8 * dim, square, n)
    store(w_at, load(w_at, n) * kept - mean * size / (root(square) * steep + eps), n)


@Kernel
def current(a):
    """R, state, width, dim, rows, steps, tails, powers, end, d, lr, eps, keep, tables, then each.

    `rows` 0: rows 0 .. R-1. Writes the weights as after `steps` to the tables `(address, dim)` and,
    with `keep`, the row itself to the state.
    """
    first, last = share(a[0])
    width, dim, steps, end = a[2], a[3], a[5], a[8]
    rows = longs(a[4], a[0])
    tails, powers = doubles(a[6], end + 1, 2), doubles(a[7], end + 1, 4)
    d, lr, eps = real(a[9]), real(a[10]), np.float32(real(a[11]))
    for k in range(first, last):
        at = a[1] + 4 * width * (rows[k] if a[4] else k)
        if a[4] and k + AHEAD < last:
            fetch(a[1] + 4 * width * rows[k + AHEAD], 4 * width)
        of = ints(at + 12 * dim, 1)
        missed = steps - of[0]
        power, tail = powers[min(missed, end)], tails[min(np.int64(of[0]), end)]
        kept = d**missed if d < 1 else 1.0
        c = kept * (tail[0] - power[2] * tails[min(steps, end), 0])
        ac = kept * (tail[1] - power[3] * tails[min(steps, end), 1])
        raised = eps * np.float32(ac / c if c > 0 else 1.0)
        move, stay = np.float32(lr * np.float32(c)), np.float32(kept)
        b1, b2 = np.float32(power[0]), np.float32(power[1])
        start = 0
        for table in range(a[13]):
            to, wide = a[14 + 2 * table], a[15 + 2 * table]
            for j in range(0, wide, LANES):
                w_at, end_at = at + 4 * (start + j), to + 4 * (wide * k + j)
                if missed > 0:
                    n = wide - j
                    _caught_up(w_at, dim, stay, move, raised, b1, b2, a[12], end_at, n)
                else:
                    store(end_at, load(w_at, wide - j), wide - j)
            start += wide
        if a[12]:
            of[0] = steps


@Kernel
def move(a):
    """R, state, width, dim, rows, steps, lr, beta1, beta2, eps, decay, tables, then of each.

    A step of Adam on rows that are as after `steps`, by their gradients `(address, dim)`.
    """
    first, last = share(a[0])
    width, dim, steps = a[2], a[3], a[5]
    rows = longs(a[4], a[0])
    lr, beta1, beta2 = real(a[6]), real(a[7]), real(a[8])
    eps, kept = np.float32(real(a[9])), np.float32(1 - lr * real(a[10]))
    size = np.float32(lr / (1 - beta1 ** (steps + 1)))
    steep = np.float32(1 / np.sqrt(1 - beta2 ** (steps + 1)))
    b1, b2 = np.float32(beta1), np.float32(beta2)
    c1, c2 = np.float32(1 - beta1), np.float32(1 - beta2)
    for k in range(first, last):
        at = a[1] + 4 * width * rows[k]
        if k + AHEAD < last:
            fetch(a[1] + 4 * width * rows[k + AHEAD], 4 * width)
        start = 0
        for table in range(a[11]):
            of, wide = a[12 + 2 * table], a[13 + 2 * table]
            for j in range(0, wide, LANES):
                w_at, g_at, n = at + 4 * (start + j), of + 4 * (wide * k + j), wide - j
                _stepped(w_at, dim, g_at, b1, b2, c1, c2, kept, size, steep, eps, n)
            start += wide
        ints(at + 12 * dim, 1)[0] = steps + 1
