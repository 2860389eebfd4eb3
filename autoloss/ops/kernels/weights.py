"""Weights `[B, n]` of the candidates: Gumbel-softmax (paper Eq. 10)."""

from __future__ import annotations

import numpy as np

from autoloss.ops.kernels.maths import exp, log
from autoloss.ops.kernels.random import word
from autoloss.ops.kernels.runtime import Address, Kernel, floats, share


@Kernel
def gumbel_softmax(rows: int, n: int, scores: Address, seed: int, steep: float, to: Address):
    """softmax(steep (scores + g)) by rows, g = -log(-log u)."""
    (first, last), seed, steep = share(rows), np.uint64(seed), np.float32(steep)
    begin, size = first * n, (last - first) * n
    scores, to = floats(scores + 4 * begin, size), floats(to + 4 * begin, size)
    if size == 0:
        return
    bits = np.empty(size // 2 + 2, np.uint64)  # two draws in each
    for k in range(len(bits)):
        bits[k] = word(seed, begin // 2 + k)
    halves = bits.view(np.uint32)[begin % 2 :]
    for k in range(size):
        # In the middle of one of 2^23 parts of (0, 1): never at an end.
        u = (np.float32(halves[k] >> np.uint32(9)) + np.float32(0.5)) * np.float32(2**-23)
        to[k] = (scores[k] - log(-log(u))) * steep
    for i in range(0, size, n):
        largest = to[i]
        for k in range(i + 1, i + n):
            largest = max(largest, to[k])
        for k in range(i, i + n):
            to[k] -= largest
    for k in range(size):
        to[k] = exp(to[k])
    for i in range(0, size, n):
        total = to[i]
        for k in range(i + 1, i + n):
            total += to[k]
        for k in range(i, i + n):
            to[k] /= total
