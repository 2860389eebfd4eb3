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

from autoloss.kernels.lanes import LANES, drawn, load, rectified, spread, store, where_positive
from autoloss.kernels.random import word
from autoloss.kernels.runtime import CHUNK, FAST, Kernel, chunks, floats, real, share


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
    found = np.zeros(width, np.float64)
    for k in range(tasks):
        part = floats(sums + 4 * (2 * k + which) * width, width)
        for j in range(width):
            found[j] += part[j]
    return found


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
def forward(a):
    """tasks, phases, B, m, h, w, b, y, mean, r, running mean and variance, momentum, eps, scale,
    lowest, seed, sums: y, mean and r, and the running ones if there are any, are written. y may be
    h itself.
    """
    first, last = share(a[0])
    rows, width, sums = a[2], a[3], a[17]
    h, y = a[4], a[7]
    shift = floats(sums + 4 * 2 * a[0] * width, width)  # the row behind the sums
    if a[1] & 1:
        for k in range(first, last):
            top = k * CHUNK
            here = h + 4 * top * width
            _moments(here, h, min(CHUNK, rows - top), width, sums + 4 * 2 * k * width)
            if k == 0:
                shift[:] = floats(h, width)
    if not a[1] & 2:
        return
    all_sums, all_squares = _merged(sums, a[0], 0, width), _merged(sums, a[0], 1, width)
    w, b, momentum, eps = floats(a[5], width), floats(a[6], width), real(a[12]), real(a[13])
    mean, r = floats(a[8], width), floats(a[9], width)
    running_mean, running_var = floats(a[10], width), floats(a[11], width)
    gain, bias = np.empty(width, np.float32), np.empty(width, np.float32)
    for j in range(width):
        off = all_sums[j] / rows
        middle, var = shift[j] + off, max(all_squares[j] / rows - off * off, 0.0)
        inverse = 1 / np.sqrt(var + eps)
        gain[j] = w[j] * inverse
        bias[j] = b[j] - middle * w[j] * inverse
        if first == 0 and last > 0:  # one thread's to write
            mean[j], r[j] = middle, inverse
            if a[10]:
                running_mean[j] += momentum * (middle - running_mean[j])
                running_var[j] += momentum * (var * rows / (rows - 1) - running_var[j])
    scale, lowest, seed = np.float32(real(a[14])), np.int16(a[15]), np.uint64(a[16])
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
def _all_totals(a, y):
    """Phase 1 of the two kernels below."""
    first, last = share(a[0])
    for k in range(first, last):
        at, high = 4 * k * CHUNK * a[3], min(CHUNK, a[2] - k * CHUNK)
        given = y + at if y else 0
        _totals(a[4] + at, given, a[6] + at, a[8], high, a[3], a[14] + 4 * 2 * k * a[3])


@njit(**FAST)
def _factors(a):
    """Phase 2, in double: steep, level and slope `[3, m]`, and both sums `[m]` they come from."""
    rows, width, scale = a[2], a[3], real(a[10])
    sums, products = _merged(a[14], a[0], 0, width), _merged(a[14], a[0], 1, width)
    w, r = floats(a[7], width), floats(a[9], width)
    factors = np.empty((3, width))
    for j in range(width):
        steep = scale * w[j] * r[j]
        factors[0, j], factors[1, j] = steep, steep * sums[j] / rows
        factors[2, j] = steep * np.float64(r[j]) * r[j] * products[j] / rows
    return factors, sums, products


@njit(**FAST)
def _projected(a, factors, before):
    """Phase 2: steep g - level - slope (h - mean); 0 for y <= 0 stands in the place of g (`before`)
    or of what is found. The caller keeps `factors`: numba frees an array after its last use, which
    its address is not.
    """
    first, last = share(a[0])
    rows, width, steep = a[2], a[3], factors.ctypes.data
    # Read once: for all that a compiler knows, what is written is in `a`.
    g_at, y, h, mean, to = a[4], a[5], a[6], a[8], a[11]
    for i in range(first * CHUNK, min(last * CHUNK, rows)):
        for left in range(0, width, LANES):
            n, here, at = width - left, 4 * left, 4 * (i * width + left)
            g, off = load(g_at + at, n), load(h + at, n) - load(mean + here, n)
            if before:
                g = where_positive(load(y + at, n), g)
            level = load(steep + 4 * width + here, n) + load(steep + 8 * width + here, n) * off
            found = load(steep + here, n) * g - level
            if not before:
                found = where_positive(load(y + at, n), found)
            store(to + at, found, n)


@Kernel
def backward(a):
    """tasks, phases, B, m, gy, y, h, w, mean, r, scale -> gh, gw, gb; sums."""
    first, last = share(a[0])
    width, scale = a[3], real(a[10])
    if a[1] & 1:
        _all_totals(a, a[5])
    if not a[1] & 2:
        return
    factors, sums, products = _factors(a)
    if first == 0 and last > 0:
        r, gw, gb = floats(a[9], width), floats(a[12], width), floats(a[13], width)
        for j in range(width):
            gw[j], gb[j] = scale * products[j] * r[j], scale * sums[j]
    _projected(a, factors.astype(np.float32), True)


@Kernel
def second(a):
    """tasks, phases, B, m, v, y, h, w, mean, r, scale -> the gradient of gy; vw, vb, sums.

    v, vw and vb are what the loss changes by with gh, gw and gb, which are linear in gy; vw and vb
    may be missing.
    """
    width, scale = a[3], real(a[10])
    if a[1] & 1:
        _all_totals(a, 0)
    if not a[1] & 2:
        return
    factors, _, _ = _factors(a)
    r, vw, vb = floats(a[9], width), floats(a[12], width), floats(a[13], width)
    for j in range(width):
        if a[13]:
            factors[1, j] -= scale * vb[j]
        if a[12]:
            factors[2, j] -= scale * vw[j] * r[j]
    _projected(a, factors.astype(np.float32), False)
