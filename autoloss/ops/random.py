"""Noise by place: 64 random bits are a function of a seed and a place, the same on every device.

It is SplitMix64 (Steele et al., OOPSLA 2014), as in `autoloss.ops.kernels.random`. No generator has
a state, so no draw depends on another one, nor on who makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from math import prod
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from autoloss.ops.kernels import random as kernels

STEPS = (0x9E3779B97F4A7C15, 30), (0xBF58476D1CE4E5B9, 27), (0x94D049BB133111EB, 31)


class Noise(Protocol):
    """What one draw of a stack's runs gives (see `autoloss.seeds.Seeds`): each run its own."""

    def words(self, n: int) -> Tensor:
        """Those at the places from 0 on, `int64[S, n]`."""

    def lowest(self, rate: float) -> Tensor:
        """The lowest draw of 16 bits that dropout keeps, `int16[S]`."""

    def again(self) -> Noise:
        """The next time that the same draws in this pass."""

    def once(self, make: Callable[[], Tensor], *what: Hashable) -> Tensor:
        """What is made of it, `what` by name: kept until the next step, for who draws the same."""


Seed = int | Noise  # of a run, or of a stack


def word(seed: int, place: int) -> int:
    """The bits at a place, as a signed number of 64 bits."""
    z = seed + place
    for times, shift in STEPS:
        z = z * times % 2**64
        z ^= z >> shift
    return _signed(z)


def by_torch(seed: int | Tensor, places: int | Tensor) -> Tensor:
    """The same in torch's operations, of any shape: its products of int64 wrap too."""
    z = torch.as_tensor(seed + places)
    for times, shift in STEPS:
        z = z * _signed(times)
        z = z ^ (z >> shift & (1 << 64 - shift) - 1)  # the sign is not to be shifted in
    return z


def words(seed: int, n: int, device: torch.device) -> Tensor:
    """The words at the places from 0 on, `int64[n]`.

    Seed + 1 has the same ones, a place earlier: a seed is a hash, or a word itself.
    """
    if device.type != "cpu":
        return by_torch(seed, torch.arange(n, device=device))
    to = torch.empty(n, dtype=torch.int64)
    kernels.words(n, seed, to)
    return to


def parts(seed: Seed, kind: torch.dtype, like: Tensor) -> Tensor:
    """Words cut into integers of `kind`, one for each number of `like`, which is not read.

    Of a stack `like` is `[S, ...]`, and each run has those that it has alone.
    """
    n = prod(like.shape if isinstance(seed, int) else like.shape[1:])
    count = -(-n * kind.itemsize // 8)
    made = words(seed, count, like.device) if isinstance(seed, int) else seed.words(count)
    return made.view(kind)[..., :n].reshape(like.shape)


def uniform(seed: Seed, like: Tensor) -> Tensor:
    """The middle of one of 2^23 parts of (0, 1) for each number of `like`, two from a word."""
    halves = parts(seed, torch.int32, like)
    return ((halves >> 9 & 0x7FFFFF).to(like.dtype) + 0.5) * 2.0**-23  # exact in float32 too


def gumbel(seed: Seed, like: Tensor) -> Tensor:
    """Gumbel noise, -log(-log u), as `like`."""
    if not isinstance(seed, int):
        return seed.once(lambda: _gumbel(seed, like), "gumbel", like.shape, like.dtype)
    return _gumbel(seed, like)


def _gumbel(seed: Seed, like: Tensor) -> Tensor:
    return -(-uniform(seed, like).log()).log()


def permutation(seed: int, n: int) -> np.ndarray:
    """0 to n - 1 in the order of their words, `int64[n]`; 40 million take 3 seconds.

    The numbers stand in for the lowest bits of their words, so one sort does it, without ties.
    """
    below = (1 << n.bit_length()) - 1
    order = words(seed, n, torch.device("cpu")).numpy()
    order &= ~below
    order |= np.arange(n)
    order.sort()
    order &= below
    return order


def permuted(seed: int, n: int, device: torch.device) -> Tensor:
    """The same `permutation` by torch's operations, on a device."""
    below, places = (1 << n.bit_length()) - 1, torch.arange(n, device=device)
    order = by_torch(seed, places) & ~below | places
    return order.sort().values & below


def _signed(z: int) -> int:
    return z - (z >> 63 << 64)
