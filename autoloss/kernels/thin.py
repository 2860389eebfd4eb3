"""Matrix products of which one side is a few numbers.

x is `[B, n]`, g `[B, k]` and w `[k, n]`, with a small k. A task is CHUNK rows, as of the kernels
whose results these read: what a thread reads lies in its own cache, where a library's thread would
fetch it from another's.
"""

from __future__ import annotations

import numpy as np

from autoloss.kernels.lanes import LANES, load, spread, store, total
from autoloss.kernels.runtime import CHUNK, Kernel, floats, share


@Kernel
def to_few(a):
    """tasks, B, n, k, x, w, bias or 0, to `[B, k]`: x w^T + bias."""
    first, last = share(a[0])
    rows, n, k, x, w = a[1], a[2], a[3], a[4], a[5]
    to, bias = floats(a[7], rows, k), floats(a[6], k)
    for i in range(first * CHUNK, min(last * CHUNK, rows)):
        for j in range(k):
            found = spread(np.float32(0))
            for left in range(0, n, LANES):
                one = load(x + 4 * (i * n + left), n - left)
                found += one * load(w + 4 * (j * n + left), n - left)
            to[i, j] = total(found) + (bias[j] if a[6] else np.float32(0))


@Kernel
def from_few(a):
    """tasks, B, n, k, g, w, bias or 0, to `[B, n]`: g w + bias."""
    first, last = share(a[0])
    rows, n, k, w, bias, to = a[1], a[2], a[3], a[5], a[6], a[7]
    g = floats(a[4], rows, k)
    for i in range(first * CHUNK, min(last * CHUNK, rows)):
        for left in range(0, n, LANES):
            found = load(bias + 4 * left, n - left) if bias else spread(np.float32(0))
            for j in range(k):
                found += load(w + 4 * (j * n + left), n - left) * g[i, j]
            store(to + 4 * (i * n + left), found, n - left)


@Kernel
def of_rows(a):
    """tasks, B, n, k, g, x, to `[tasks, k, n]`: g^T x of each task's rows."""
    first, last = share(a[0])
    rows, n, k, x, to = a[1], a[2], a[3], a[5], a[6]
    g = floats(a[4], rows, k)
    for task in range(first, last):
        for left in range(0, n, LANES):
            for j in range(k):
                found = spread(np.float32(0))
                for i in range(task * CHUNK, min((task + 1) * CHUNK, rows)):
                    found += load(x + 4 * (i * n + left), n - left) * g[i, j]
                store(to + 4 * ((task * k + j) * n + left), found, n - left)
