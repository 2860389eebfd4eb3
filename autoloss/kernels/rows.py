"""Deferred Adam's rows (autoloss.training.deferred): brought up to date, and moved by a gradient.

A row of the state is weights, means and squares, `dim` of each, and the step they are of. A task is
a row.
"""

from __future__ import annotations

import numpy as np

from autoloss.kernels.runtime import Kernel, doubles, fetch, floats, ints, longs, real, share

AHEAD = 8  # rows whose memory is asked for before it is needed


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
    new = np.empty(dim, np.float32)
    for k in range(first, last):
        at = a[1] + 4 * width * (rows[k] if a[4] else k)
        if a[4] and k + AHEAD < last:
            fetch(a[1] + 4 * width * rows[k + AHEAD], 4 * width)
        old = floats(at, width)
        of = ints(at, width)
        missed = steps - of[3 * dim]
        if missed > 0:
            power, tail = powers[min(missed, end)], tails[min(np.int64(of[3 * dim]), end)]
            kept = d**missed if d < 1 else 1.0
            c = kept * (tail[0] - power[2] * tails[min(steps, end), 0])
            ac = kept * (tail[1] - power[3] * tails[min(steps, end), 1])
            raised = eps * np.float32(ac / c if c > 0 else 1.0)
            move, stay = np.float32(lr * np.float32(c)), np.float32(kept)
            b1, b2 = np.float32(power[0]), np.float32(power[1])
            m, v = floats(at + 4 * dim, dim), floats(at + 8 * dim, dim)
            for j in range(dim):
                new[j] = old[j] * stay - m[j] * move / (np.sqrt(v[j]) + raised)
            if a[12]:
                for j in range(dim):
                    old[j] = new[j]
                    m[j] *= b1
                    v[j] *= b2
                of[3 * dim] = steps
        else:
            for j in range(dim):
                new[j] = old[j]
        start = 0
        for table in range(a[13]):
            wide = a[15 + 2 * table]
            to = floats(a[14 + 2 * table] + 4 * wide * k, wide)
            for j in range(wide):
                to[j] = new[start + j]
            start += wide


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
    root = np.float32(np.sqrt(1 - beta2 ** (steps + 1)))
    b1, b2 = np.float32(beta1), np.float32(beta2)
    c1, c2 = np.float32(1 - beta1), np.float32(1 - beta2)
    g = np.empty(dim, np.float32)
    for k in range(first, last):
        at = a[1] + 4 * width * rows[k]
        if k + AHEAD < last:
            fetch(a[1] + 4 * width * rows[k + AHEAD], 4 * width)
        w, m, v = floats(at, dim), floats(at + 4 * dim, dim), floats(at + 8 * dim, dim)
        start = 0
        for table in range(a[11]):
            wide = a[13 + 2 * table]
            of = floats(a[12 + 2 * table] + 4 * wide * k, wide)
            for j in range(wide):
                g[start + j] = of[j]
            start += wide
        for j in range(dim):
            mean = b1 * m[j] + c1 * g[j]
            square = b2 * v[j] + c2 * g[j] * g[j]
            m[j] = mean
            v[j] = square
            w[j] = w[j] * kept - size * mean / (np.sqrt(square) / root + eps)
        ints(at, width)[3 * dim] = steps + 1
