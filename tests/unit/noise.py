"""SplitMix64 and what is made of its words, a second time: by numpy, as its paper has it."""

from __future__ import annotations

import numpy as np

from autoloss.seeds import derive_seed


def words(seed: int, places: np.ndarray) -> np.ndarray:
    """`uint64[n]`, of a seed of any sign and `places` `[n]`."""
    z = (np.uint64(seed % 2**64) + places.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def word(seed: int, place: int) -> int:
    """One of them."""
    return int(words(seed, np.array([place]))[0])


def seed_at(k: int, t: int, seed: int, *role: str) -> int:
    """Of what draws k-th in step `t`."""
    return word(word(derive_seed(seed, *role), t), k)


def gumbel(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """-log(-log u), in double precision, u by the upper 23 of 32 bits."""
    n = int(np.prod(shape))
    halves = words(seed, np.arange((n + 1) // 2)).view(np.uint32)[:n]
    u = ((halves >> 9).astype(float) + 0.5) / 2**23
    return -np.log(-np.log(u)).reshape(shape)


def kept(seed: int, shape: tuple[int, ...], rate: float) -> np.ndarray:
    """What dropout keeps: draws of 16 bits, against a rate rounded by a draw of its own."""
    n = int(np.prod(shape))
    draws = words(seed, np.arange((n + 3) // 4)).view(np.int16)[:n].astype(int) + 2**15
    signed = word(seed, -1) - (word(seed, -1) >> 63 << 64)
    return (draws >= np.floor(rate * 2**16 + signed / 2**64 + 0.5)).reshape(shape)
