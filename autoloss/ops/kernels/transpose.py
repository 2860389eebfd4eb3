"""A matrix's transpose, tile by tile, on all threads: torch's copy has one."""

from __future__ import annotations

from typing import Any

import torch
from llvmlite import ir
from numba import njit, types
from torch import Tensor

from autoloss.ops.kernels.lanes import LANES, row_at, shuffled
from autoloss.ops.kernels.runtime import FAST, Address, Kernel, floats, intrinsic_of, share

TILE = LANES  # rows and columns of a tile


@intrinsic_of(types.void, *[types.int64] * 4)
def _turn_tile(builder: Any, source: Any, source_step: Any, to: Any, to_step: Any) -> None:
    """A tile from `source` to `to`, in registers; steps are the bytes from a row to the next."""

    def at(start: Any, step: Any, i: int) -> Any:
        return row_at(builder, builder.add(start, builder.mul(step, ir.Constant(step.type, i))))

    rows = [builder.load(at(source, source_step, i), align=4) for i in range(TILE)]
    # Squares of half the side change places across the diagonal, then within each square.
    for side in (8, 4, 2, 1):
        lanes = range(TILE)
        upper = [lane + TILE - side if lane & side else lane for lane in lanes]
        lower = [lane + TILE if lane & side else lane + side for lane in lanes]
        for i in (i for i in lanes if not i & side):
            pair = rows[i], rows[i + side]
            rows[i], rows[i + side] = (shuffled(builder, *pair, mask) for mask in (upper, lower))
    for i, one in enumerate(rows):
        builder.store(one, at(to, to_step, i), align=4)


@njit(**FAST)
def turn(source, source_width, rows, columns, to, to_width):
    """Write rows and columns of `[.., source_width]` to `[columns, to_width]`, turned around."""
    for left in range(0, columns, TILE):
        wide = min(TILE, columns - left)
        for top in range(0, rows, TILE):
            high = min(TILE, rows - top)
            start = source + 4 * (top * source_width + left)
            end = to + 4 * (left * to_width + top)
            if wide == TILE and high == TILE:
                _turn_tile(start, 4 * source_width, end, 4 * to_width)
                continue
            for i in range(high):
                line = floats(start + 4 * i * source_width, wide)
                for j in range(wide):
                    floats(end + 4 * j * to_width, high)[i] = line[j]


@Kernel
def _transpose(tasks: int, rows: int, columns: int, x: Address, to: Address):
    """From x `[rows, columns]` to its transpose; a task is TILE columns of x."""
    first, last = share(tasks)
    left, right = min(first * TILE, columns), min(last * TILE, columns)
    turn(x + 4 * left, columns, rows, right - left, to + 4 * left * rows, rows)


def transposed(x: Tensor) -> Tensor:
    """A contiguous `[n, m]` of a contiguous float32 `[m, n]` on a CPU."""
    rows, columns = x.shape
    turned = torch.empty(columns, rows)
    _transpose(-(-columns // TILE), rows, columns, x, turned)
    return turned
