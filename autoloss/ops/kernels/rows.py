"""Deferred Adam's rows (autoloss.ops.adam_rows): brought up to date, and moved by a gradient.

A row of the state is weights, means and squares, `dim` of each, and the step they are of. A task is
a row.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from autoloss.ops.kernels.lanes import LANES, load, root, store
from autoloss.ops.kernels.runtime import (
    FAST,
    Address,
    Kernel,
    Rest,
    doubles,
    fetch,
    floats,
    ints,
    longs,
    share,
)

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
def current(
    tasks: int, state: Address, width: int, dim: int, rows_at: Address, steps: int, tails: Address,
    powers: Address, end: int, d: float, lr: float, eps: float, keep: int, tables: int, each: Rest
):  # fmt: skip
    """Write the weights of rows as after `steps` to tables; with `keep` the rows, to the state.

    Without rows they are all, from 0 on. `each` has of a table its address and its width.
    """
    (first, last), rows, each = share(tasks), longs(rows_at, tasks), longs(each, tables, 2)
    tails, powers = doubles(tails, end + 1, 2), doubles(powers, end + 1, 4)
    eps = np.float32(eps)
    for k in range(first, last):
        at = state + 4 * width * (rows[k] if rows_at else k)
        if rows_at and k + AHEAD < last:
            fetch(state + 4 * width * rows[k + AHEAD], 4 * width)
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
        for table in range(tables):
            to, wide = each[table, 0], each[table, 1]
            for j in range(0, wide, LANES):
                w_at, end_at = at + 4 * (start + j), to + 4 * (wide * k + j)
                if missed > 0:
                    n = wide - j
                    _caught_up(w_at, dim, stay, move, raised, b1, b2, keep, end_at, n)
                else:
                    store(end_at, load(w_at, wide - j), wide - j)
            start += wide
        if keep:
            of[0] = steps


@Kernel
def move(
    tasks: int, state: Address, width: int, dim: int, rows: Address, steps: int, lr: float,
    beta1: float, beta2: float, eps: float, decay: float, tables: int, each: Rest
):  # fmt: skip
    """A step of Adam on rows that are as after `steps`.

    `each` has of a table its gradient's address and its width.
    """
    (first, last), rows, each = share(tasks), longs(rows, tasks), longs(each, tables, 2)
    eps, kept = np.float32(eps), np.float32(1 - lr * decay)
    size = np.float32(lr / (1 - beta1 ** (steps + 1)))
    steep = np.float32(1 / np.sqrt(1 - beta2 ** (steps + 1)))
    b1, b2 = np.float32(beta1), np.float32(beta2)
    c1, c2 = np.float32(1 - beta1), np.float32(1 - beta2)
    for k in range(first, last):
        at = state + 4 * width * rows[k]
        if k + AHEAD < last:
            fetch(state + 4 * width * rows[k + AHEAD], 4 * width)
        start = 0
        for table in range(tables):
            of, wide = each[table, 0], each[table, 1]
            for j in range(0, wide, LANES):
                w_at, g_at, n = at + 4 * (start + j), of + 4 * (wide * k + j), wide - j
                _stepped(w_at, dim, g_at, b1, b2, c1, c2, kept, size, steep, eps, n)
            start += wide
        ints(at + 12 * dim, 1)[0] = steps + 1
