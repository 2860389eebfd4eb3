"""A matrix's transpose, tile by tile, on all threads: torch's copy has one."""

from __future__ import annotations

import numpy as np
import torch
from numba import njit
from torch import Tensor

from autoloss.kernels.runtime import FAST, Kernel, floats, share

TILE = 16  # a line of memory is 16 numbers
TALL = 64  # rows of a tile


@njit(**FAST)
def turn(source, source_width, rows, columns, to, to_width):
    """Write rows and columns of `[.., source_width]` to `[columns, to_width]`, turned around."""
    # By way of a small tile: lines that are written piecemeal throw each other out of cache.
    tile = np.empty((TILE, TALL), np.float32)
    for left in range(0, columns, TILE):
        wide = min(TILE, columns - left)
        for top in range(0, rows, TALL):
            high = min(TALL, rows - top)
            for i in range(high):
                line = floats(source + 4 * ((top + i) * source_width + left), wide)
                for j in range(wide):
                    tile[j, i] = line[j]
            for j in range(wide):
                line = floats(to + 4 * ((left + j) * to_width + top), high)
                for i in range(high):
                    line[i] = tile[j, i]


@Kernel
def _transpose(a):
    """tasks, rows, columns, from, to: a task is TILE columns of what is read."""
    first, last = share(a[0])
    rows, columns = a[1], a[2]
    left, right = min(first * TILE, columns), min(last * TILE, columns)
    turn(a[3] + 4 * left, columns, rows, right - left, a[4] + 4 * left * rows, rows)


def transposed(x: Tensor) -> Tensor:
    """A contiguous `[n, m]` of a contiguous float32 `[m, n]` on a CPU."""
    rows, columns = x.shape
    found = torch.empty(columns, rows)
    _transpose(-(-columns // TILE), rows, columns, x, found)
    return found
