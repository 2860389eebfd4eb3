"""Random bits by number: a draw is a function of a seed and its place, so any thread makes any."""

from __future__ import annotations

import numpy as np
from numba import njit

from autoloss.ops.kernels.runtime import FAST, Address, Kernel, longs, share


@njit(**FAST)
def word(seed, place):
    """64 random bits (SplitMix64, Steele et al. 2014)."""
    z = (seed + np.uint64(place)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@Kernel
def words(n: int, seed: int, to: Address):
    """Write the words from place 0 on, to `int64[n]`."""
    first, last = share(n)
    to = longs(to, n)
    for k in range(first, last):
        to[k] = np.int64(word(np.uint64(seed), k))
