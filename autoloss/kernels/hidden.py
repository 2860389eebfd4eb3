"""Batch norm, ReLU and dropout in one pass, forward and backward, over columns of `[B, m]`.

With x' = (h - mean) r, r = 1 / sqrt(var + eps), and s the slope of ReLU and dropout together, which
is the scale of dropout where y > 0 and else 0:

    y = s (w x' + b)       gh = w r (g - mean g - x' mean(g x')),  g = s gy       gw = sum g x'
"""

from __future__ import annotations

import numpy as np
from numba import njit

from autoloss.kernels.random import word
from autoloss.kernels.runtime import Kernel, floats, real, share

COLUMNS = 32  # of a task
FLUSH = 64  # rows summed in single precision before they are added up in double


def tasks(width: int) -> int:
    """How many tasks a layer of `width` columns is."""
    return -(-width // COLUMNS)


@njit
def _part(address, width, i, left, n):
    """Columns left .. left + n of row i: as an array of its own, so that loops become vectors."""
    return floats(address + 4 * (i * width + left), n)


@njit
def _columns(a):
    """Of a kernel's arguments: its thread's first column, and how many."""
    first, last = share(a[0])
    left = min(first * COLUMNS, a[2])
    return left, min(last * COLUMNS, a[2]) - left


@Kernel
def forward(a):
    """tasks, B, m, h, w, b, y, mean, r, running mean and variance, momentum, eps,
    scale, lowest, seed: y, mean and r, and the running ones if there are any, are written.
    """
    left, n = _columns(a)
    rows, width = a[1], a[2]
    w, b = _part(a[4], width, 0, left, n), _part(a[5], width, 0, left, n)
    mean, r = _part(a[7], width, 0, left, n), _part(a[8], width, 0, left, n)
    running_mean, running_var = _part(a[9], width, 0, left, n), _part(a[10], width, 0, left, n)
    momentum, eps, scale = real(a[11]), real(a[12]), np.float32(real(a[13]))
    lowest, seed = np.int16(a[14]), np.uint64(a[15])
    shift = _part(a[3], width, 0, left, n)  # sums of squares about 0 would cancel
    sums, squares = np.empty(n, np.float32), np.empty(n, np.float32)
    all_sums, all_squares = np.zeros(n, np.float64), np.zeros(n, np.float64)
    gain, bias = np.empty(n, np.float32), np.empty(n, np.float32)
    for start in range(0, rows, FLUSH):
        sums[:] = 0
        squares[:] = 0
        for i in range(start, min(start + FLUSH, rows)):
            h = _part(a[3], width, i, left, n)
            for j in range(n):
                sums[j] += h[j] - shift[j]
            for j in range(n):
                squares[j] += (h[j] - shift[j]) * (h[j] - shift[j])
        for j in range(n):
            all_sums[j] += sums[j]
            all_squares[j] += squares[j]
    for j in range(n):
        off = all_sums[j] / rows
        var = max(all_squares[j] / rows - off * off, 0.0)
        inverse = 1 / np.sqrt(var + eps)
        mean[j], r[j] = shift[j] + off, inverse
        gain[j] = w[j] * inverse
        bias[j] = b[j] - (shift[j] + off) * w[j] * inverse
        if a[9]:
            running_mean[j] += momentum * (shift[j] + off - running_mean[j])
            running_var[j] += momentum * (var * rows / (rows - 1) - running_var[j])
    # The words whose 16-bit parts the columns of a row take; the row starts anywhere in a word.
    words = np.empty(n // 4 + 2, np.uint64)
    for i in range(rows):
        h, y = _part(a[3], width, i, left, n), _part(a[6], width, i, left, n)
        if lowest == -32768:
            for j in range(n):
                value = h[j] * gain[j] + bias[j]
                y[j] = np.float32(0) if value < 0 else value  # NaN stays NaN
        else:
            place = i * width + left
            inside = place % 4
            for k in range((inside + n + 3) >> 2):
                words[k] = word(seed, place // 4 + k)
            draws = words.view(np.int16)[inside:]
            for j in range(n):
                value = (h[j] * gain[j] + bias[j]) * scale
                y[j] = np.float32(0) if value < 0 or draws[j] < lowest else value


@njit
def _totals(g_at, y_at, h_at, mean, rows, width, left):
    """Sums over rows of g and g (h - mean), float64; where y is given, of g only where y > 0."""
    n = len(mean)
    sums, products = np.empty(n, np.float32), np.empty(n, np.float32)
    all_sums, all_products = np.zeros(n, np.float64), np.zeros(n, np.float64)
    zero = np.float32(0)
    for start in range(0, rows, FLUSH):
        sums[:] = 0
        products[:] = 0
        for i in range(start, min(start + FLUSH, rows)):
            g, h = _part(g_at, width, i, left, n), _part(h_at, width, i, left, n)
            if y_at:
                y = _part(y_at, width, i, left, n)
                for j in range(n):
                    sums[j] += g[j] if y[j] > 0 else zero
                for j in range(n):
                    products[j] += (g[j] if y[j] > 0 else zero) * (h[j] - mean[j])
            else:
                for j in range(n):
                    sums[j] += g[j]
                for j in range(n):
                    products[j] += g[j] * (h[j] - mean[j])
        for j in range(n):
            all_sums[j] += sums[j]
            all_products[j] += products[j]
    return all_sums, all_products


@Kernel
def backward(a):
    """tasks, B, m, gy, y, h, w, mean, r, scale -> gh, gw, gb."""
    left, n = _columns(a)
    rows, width, scale = a[1], a[2], real(a[9])
    w, mean = _part(a[6], width, 0, left, n), _part(a[7], width, 0, left, n)
    r = _part(a[8], width, 0, left, n)
    gw, gb = _part(a[11], width, 0, left, n), _part(a[12], width, 0, left, n)
    sums, products = _totals(a[3], a[4], a[5], mean, rows, width, left)
    steep, level, slope = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.float32)
    for j in range(n):
        inverse, steepness = np.float64(r[j]), scale * w[j] * r[j]
        gw[j], gb[j] = scale * products[j] * inverse, scale * sums[j]
        steep[j], level[j] = steepness, steepness * sums[j] / rows
        slope[j] = steepness * inverse * inverse * products[j] / rows
    for i in range(rows):
        gy, y = _part(a[3], width, i, left, n), _part(a[4], width, i, left, n)
        h, gh = _part(a[5], width, i, left, n), _part(a[10], width, i, left, n)
        for j in range(n):
            g = gy[j] if y[j] > 0 else np.float32(0)
            gh[j] = steep[j] * g - level[j] - slope[j] * (h[j] - mean[j])


@Kernel
def second(a):
    """tasks, B, m, v, y, h, w, mean, r, scale, vw, vb -> the gradient of gy.

    v, vw and vb are what the loss changes by with gh, gw and gb, which are linear in gy; vw and vb
    may be missing.
    """
    left, n = _columns(a)
    rows, width, scale = a[1], a[2], real(a[9])
    w, mean = _part(a[6], width, 0, left, n), _part(a[7], width, 0, left, n)
    r = _part(a[8], width, 0, left, n)
    vw, vb = _part(a[10], width, 0, left, n), _part(a[11], width, 0, left, n)
    sums, products = _totals(a[3], 0, a[5], mean, rows, width, left)
    steep, level, slope = np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.float32)
    for j in range(n):
        inverse, steepness = np.float64(r[j]), scale * w[j] * r[j]
        steep[j], level[j] = steepness, steepness * sums[j] / rows
        slope[j] = steepness * inverse * inverse * products[j] / rows
        if a[10]:
            slope[j] -= scale * vw[j] * inverse
        if a[11]:
            level[j] -= scale * vb[j]
    for i in range(rows):
        v, y = _part(a[3], width, i, left, n), _part(a[4], width, i, left, n)
        h, out = _part(a[5], width, i, left, n), _part(a[12], width, i, left, n)
        for j in range(n):
            d = steep[j] * v[j] - level[j] - slope[j] * (h[j] - mean[j])
            out[j] = d if y[j] > 0 else np.float32(0)
