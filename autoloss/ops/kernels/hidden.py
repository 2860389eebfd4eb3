"""Batch norm, ReLU and dropout in one operation, forward and backward, of `[B, m]`.

With x' = (h - mean) r, r = 1 / sqrt(var + eps), and s the slope of ReLU and dropout together, which
is the scale of dropout where y > 0 and else 0:

    y = s (w x' + b)       gh = w r (g - mean g - x' mean(g x')),  g = s gy       gw = sum g x'

All need sums over the batch first: phase 1 writes each task's, in single precision; phase 2 adds
them up, in double, and computes rows. A task is CHUNK rows: threads read memory of their own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numba import njit

from autoloss.ops.kernels.lanes import LANES, drawn, load, rectified, spread, store, where_positive
from autoloss.ops.kernels.random import word
from autoloss.ops.kernels.runtime import CHUNK, FAST, Address, Kernel, chunks, floats, share


def run(kernel: Kernel, rows: int, *arguments: Any) -> None:
    """Both phases of a kernel, in one call of one thread; else in two, for phase 1 to be done."""
    tasks = chunks(rows)
    for phases in (3,) if min(tasks, torch.get_num_threads()) == 1 else (1, 2):
        kernel(tasks, phases, rows, *arguments)


def sums_for(rows: int, width: int) -> torch.Tensor:
    """Where phase 1 leaves two sums a column and a task, and one more row."""
    return torch.empty(2 * chunks(rows) + 1, width)


@njit(**FAST)
def _merged(sums, tasks, which, width):
    """The tasks' first or second sums, added up in double."""
    merged = np.zeros(width, np.float64)
    for k in range(tasks):
        part = floats(sums + 4 * (2 * k + which) * width, width)
        for j in range(width):
            merged[j] += part[j]
    return merged


@njit(**FAST)
def _moments(h, shift, rows, width, to):
    """Sums over rows of h - shift and of its square: sums of squares about 0 would cancel."""
    zero = spread(np.float32(0))
    for left in range(0, width, 2 * LANES):  # two at a time: a sum waits for the one before
        n, more, here = width - left, width - left - LANES, 4 * left
        a, b = load(shift + here, n), load(shift + here + 4 * LANES, more)
        sum_a, sum_b, square_a, square_b = zero, zero, zero, zero
        for i in range(rows):
            at = h + here + 4 * i * width
            off_a, off_b = load(at, n) - a, load(at + 4 * LANES, more) - b
            sum_a += off_a
            sum_b += off_b
            square_a += off_a * off_a
            square_b += off_b * off_b
        store(to + here, sum_a, n)
        store(to + here + 4 * LANES, sum_b, more)
        store(to + here + 4 * width, square_a, n)
        store(to + here + 4 * (width + LANES), square_b, more)


@njit(**FAST)
def _activated(h, gains, biases, rows, width, y, scale, lowest, seed, place):
    """y of rows of h; the first number of y takes the draw `place`, 16 bits of a word.

    The caller keeps the arrays `gains` and `biases`, as in `_projected`.
    """
    drops, gain, bias = lowest != -32768, gains.ctypes.data, biases.ctypes.data
    # One more, and what loads of 16 reach: rows of draws start anywhere in a word.
    words = np.empty(width // 4 + 6, np.uint64)
    draws = words.ctypes.data
    for i in range(rows):
        at, inside = 4 * i * width, place % 4
        if drops:
            for k in range((inside + width + 3) >> 2):
                words[k] = word(seed, place // 4 + k)
            place += width
        for left in range(0, width, LANES):
            n, here = width - left, 4 * left
            value = load(h + at + here, n) * load(gain + here, n) + load(bias + here, n)
            value = rectified(value)
            if drops:
                value = drawn(draws + 2 * (inside + left), lowest, value * scale)
            store(y + at + here, value, n)


@Kernel
def forward(
    tasks: int, phases: int, rows: int, width: int, h: Address, w: Address, b: Address, y: Address,
    mean: Address, r: Address, running_mean: Address, running_var: Address, momentum: float,
    eps: float, scale: float, lowest: int, seed: int, sums: Address
):  # fmt: skip
    """Write y, mean and r, and what runs of them if anything does; y may be h itself."""
    first, last = share(tasks)
    shift = floats(sums + 4 * 2 * tasks * width, width)  # the row behind the sums
    if phases & 1:
        for k in range(first, last):
            top = k * CHUNK
            here = h + 4 * top * width
            _moments(here, h, min(CHUNK, rows - top), width, sums + 4 * 2 * k * width)
            if k == 0:
                shift[:] = floats(h, width)
    if not phases & 2:
        return
    all_sums, all_squares = _merged(sums, tasks, 0, width), _merged(sums, tasks, 1, width)
    w, b, mean, r = floats(w, width), floats(b, width), floats(mean, width), floats(r, width)
    tracks, running_mean = running_mean != 0, floats(running_mean, width)
    running_var = floats(running_var, width)
    gain, bias = np.empty(width, np.float32), np.empty(width, np.float32)
    for j in range(width):
        off = all_sums[j] / rows
        middle, var = shift[j] + off, max(all_squares[j] / rows - off * off, 0.0)
        inverse = 1 / np.sqrt(var + eps)
        gain[j] = w[j] * inverse
        bias[j] = b[j] - middle * w[j] * inverse
        if first == 0 and last > 0:  # one thread's to write
            mean[j], r[j] = middle, inverse
            if tracks:
                running_mean[j] += momentum * (middle - running_mean[j])
                running_var[j] += momentum * (var * rows / (rows - 1) - running_var[j])
    scale, lowest, seed = np.float32(scale), np.int16(lowest), np.uint64(seed)
    top, bottom = min(first * CHUNK, rows), min(last * CHUNK, rows)
    at = 4 * top * width
    _activated(h + at, gain, bias, bottom - top, width, y + at, scale, lowest, seed, top * width)


@njit(**FAST)
def _totals(g, y, h, mean, rows, width, to):
    """Sums over rows of g and g (h - mean); where y is given, of g only where y > 0."""
    for left in range(0, width, LANES):
        n, here = width - left, 4 * left
        middle, sums = load(mean + here, n), spread(np.float32(0))
        products = sums
        for i in range(rows):
            at = here + 4 * i * width
            part = load(g + at, n)
            if y:
                part = where_positive(load(y + at, n), part)
            sums += part
            products += part * (load(h + at, n) - middle)
        store(to + here, sums, n)
        store(to + here + 4 * width, products, n)


@njit(**FAST)
def _all_totals(tasks, rows, width, g, y, h, mean, sums):
    """Phase 1 of the two kernels below."""
    first, last = share(tasks)
    for k in range(first, last):
        at, high = 4 * k * CHUNK * width, min(CHUNK, rows - k * CHUNK)
        _totals(g + at, y + at if y else 0, h + at, mean, high, width, sums + 4 * 2 * k * width)


@njit(**FAST)
def _factors(tasks, rows, width, w, r, scale, parts):
    """Phase 2, in double: steep, level and slope `[3, m]`, and both sums `[m]` they come from."""
    sums, products = _merged(parts, tasks, 0, width), _merged(parts, tasks, 1, width)
    w, r = floats(w, width), floats(r, width)
    factors = np.empty((3, width))
    for j in range(width):
        steep = scale * w[j] * r[j]
        factors[0, j], factors[1, j] = steep, steep * sums[j] / rows
        factors[2, j] = steep * np.float64(r[j]) * r[j] * products[j] / rows
    return factors, sums, products


@njit(**FAST)
def _projected(tasks, rows, width, g, y, h, mean, factors, before, to):
    """Phase 2: steep g - level - slope (h - mean); 0 for y <= 0 stands in the place of g (`before`)
    or of the result. The caller keeps `factors`: numba frees an array after its last use, which
    its address is not.
    """
    (first, last), steep = share(tasks), factors.ctypes.data
    for i in range(first * CHUNK, min(last * CHUNK, rows)):
        for left in range(0, width, LANES):
            n, here, at = width - left, 4 * left, 4 * (i * width + left)
            part, off = load(g + at, n), load(h + at, n) - load(mean + here, n)
            if before:
                part = where_positive(load(y + at, n), part)
            level = load(steep + 4 * width + here, n) + load(steep + 8 * width + here, n) * off
            result = load(steep + here, n) * part - level
            if not before:
                result = where_positive(load(y + at, n), result)
            store(to + at, result, n)


@Kernel
def backward(
    tasks: int, phases: int, rows: int, width: int, gy: Address, y: Address, h: Address, w: Address,
    mean: Address, r: Address, scale: float, gh: Address, gw: Address, gb: Address, sums: Address
):  # fmt: skip
    """Write gh, gw and gb."""
    first, last = share(tasks)
    if phases & 1:
        _all_totals(tasks, rows, width, gy, y, h, mean, sums)
    if not phases & 2:
        return
    factors, totals, products = _factors(tasks, rows, width, w, r, scale, sums)
    if first == 0 and last > 0:
        r, gw, gb = floats(r, width), floats(gw, width), floats(gb, width)
        for j in range(width):
            gw[j], gb[j] = scale * products[j] * r[j], scale * totals[j]
    _projected(tasks, rows, width, gy, y, h, mean, factors.astype(np.float32), True, gh)


@Kernel
def second(
    tasks: int, phases: int, rows: int, width: int, v: Address, y: Address, h: Address, w: Address,
    mean: Address, r: Address, scale: float, to: Address, vw: Address, vb: Address, sums: Address
):  # fmt: skip
    """The gradient of gy, from v, vw and vb: what the loss changes by with gh, gw and gb, which are
    linear in gy; vw and vb may be missing.
    """
    if phases & 1:
        _all_totals(tasks, rows, width, v, 0, h, mean, sums)
    if not phases & 2:
        return
    factors, _, _ = _factors(tasks, rows, width, w, r, scale, sums)
    inverse, weights, biases = floats(r, width), floats(vw, width), floats(vb, width)
    for j in range(width):
        if vb:
            factors[1, j] -= scale * biases[j]
        if vw:
            factors[2, j] -= scale * weights[j] * inverse[j]
    _projected(tasks, rows, width, v, y, h, mean, factors.astype(np.float32), False, to)
