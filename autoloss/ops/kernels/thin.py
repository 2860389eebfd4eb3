"""Matrix products of which one side is a few numbers.

x is `[B, n]`, g `[B, k]` and w `[k, n]`, with a small k. A task is CHUNK rows, as of the kernels
whose results these read: what a thread reads lies in its own cache, where a library's thread would
fetch it from another's.
"""

from __future__ import annotations

import numpy as np

from autoloss.ops.kernels.lanes import LANES, load, spread, store, total
from autoloss.ops.kernels.runtime import CHUNK, Address, Kernel, floats, share


@Kernel
def to_few(
    tasks: int, rows: int, n: int, k: int, x: Address, w: Address, bias: Address, to: Address
):  # fmt: skip
    """To `[B, k]`: x w^T + bias; the bias may be missing."""
    (first, last), to, biases = share(tasks), floats(to, rows, k), floats(bias, k)
    for i in range(first * CHUNK, min(last * CHUNK, rows)):
        for j in range(k):
            product = spread(np.float32(0))
            for left in range(0, n, LANES):
                part = load(x + 4 * (i * n + left), n - left)
                product += part * load(w + 4 * (j * n + left), n - left)
            to[i, j] = total(product) + (biases[j] if bias else np.float32(0))


@Kernel
def from_few(
    tasks: int, rows: int, n: int, k: int, g: Address, w: Address, bias: Address, to: Address
):  # fmt: skip
    """To `[B, n]`: g w + bias; the bias may be missing."""
    first, last = share(tasks)
    g = floats(g, rows, k)
    for i in range(first * CHUNK, min(last * CHUNK, rows)):
        for left in range(0, n, LANES):
            row = load(bias + 4 * left, n - left) if bias else spread(np.float32(0))
            for j in range(k):
                row += load(w + 4 * (j * n + left), n - left) * g[i, j]
            store(to + 4 * (i * n + left), row, n - left)


@Kernel
def of_rows(tasks: int, rows: int, n: int, k: int, g: Address, x: Address, to: Address):
    """To `[tasks, k, n]`: g^T x of each task's rows."""
    first, last = share(tasks)
    g = floats(g, rows, k)
    for task in range(first, last):
        for left in range(0, n, LANES):
            for j in range(k):
                row = spread(np.float32(0))
                for i in range(task * CHUNK, min((task + 1) * CHUNK, rows)):
                    row += load(x + 4 * (i * n + left), n - left) * g[i, j]
                store(to + 4 * ((task * k + j) * n + left), row, n - left)
