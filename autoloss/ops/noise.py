"""The noise of a stack's steps, all of a step in one pass: what is drawn in one of a kind is alike.

Words are a function of seed and place (`autoloss.ops.random`), so it does not matter who makes them
when. Drawn by themselves, the masks of a step start a hundred kernels on numbers of a few bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from autoloss.ops.random import by_torch

AGAIN = -2  # a mask has the places from -1 on (autoloss.ops.dropout): before these lies the next
NONE = -(2**15)  # the lowest draw of 16 bits: nothing is dropped
TOGETHER = 256  # steps whose seeds are made at once
Keys = Callable[..., Tensor]  # of a role's names, `int64[S]`


class Place(NamedTuple):
    """What draws: k-th in a pass of this role, for the so-manieth time again."""

    role: tuple[str, ...]
    k: int
    again: int = 0


def seeds_of(places: list[Place], keys: Keys, t: Tensor) -> Tensor:
    """The seeds of all places at steps `t` `[...]`, `int64[..., S, R]`."""
    of_roles = torch.stack([keys(*place.role) for place in places], dim=-1)
    ks, again = (
        torch.tensor([getattr(place, name) for place in places], device=of_roles.device)
        for name in ("k", "again")
    )
    seeds = by_torch(by_torch(of_roles, t[..., None, None]), ks)
    for n in range(max(place.again for place in places)):
        seeds = torch.where(again > n, by_torch(seeds, AGAIN), seeds)
    return seeds


def lowest_of(seeds: Tensor, rates: Tensor) -> Tensor:
    """As `autoloss.ops.dropout.lowest` of each seed, `int16[..., R]`, of `rates` `float64[R]`."""
    rounding = by_torch(seeds, -1).double() * 2.0**-64
    return ((rates * 2**16 + rounding + 0.5).floor() + NONE).to(torch.int16)


class Plan:
    """What the steps of one kind draw: learned in the first, from the second on made at once.

    Args:
        keys: of the stack's runs.
    """

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._sizes: dict[Place, int] = {}  # words
        self._rates: dict[Place, float] = {}
        self._places: list[Place] | None = None  # None: they are being learned
        self._first = -1  # step of the seeds at hand
        self._words: Tensor | None = None

    def begin(self, t: int) -> None:
        """Step `t` is next: bring its seeds to their address, which stays."""
        self._words = None
        if self._sizes and self._places is None:
            self._settle()
        if not self._places:
            return
        first = t - t % TOGETHER
        if first != self._first:
            ts = torch.arange(first, first + TOGETHER, device=self._owner.device)
            self._every = seeds_of(self._places, self._keys, ts)
            self._every_lowest = lowest_of(self._every, self._each_rate)
            self._first = first
        self._seeds.copy_(self._every[t - first])
        self._lowest.copy_(self._every_lowest[t - first])

    def _settle(self) -> None:
        """Lay out what was asked for in the first step, one behind the other."""
        self._places = list(self._sizes)
        keys = self._keys(*self._places[0].role)
        sizes = torch.tensor(list(self._sizes.values()))
        ends = sizes.cumsum(0)
        self._starts = dict(zip(self._places, (ends - sizes).tolist(), strict=True))
        number = torch.arange(len(sizes)).repeat_interleave(sizes)
        place = torch.arange(int(ends[-1])) - (ends - sizes)[number]
        self._owner, self._each_place = number.to(keys.device), place.to(keys.device)
        rates = [self._rates.get(place, 0.0) for place in self._places]
        self._each_rate = torch.tensor(rates, dtype=torch.float64, device=keys.device)
        self._seeds = keys.new_empty(len(keys), len(sizes))
        self._lowest = torch.empty_like(self._seeds, dtype=torch.int16)

    def words(self, place: Place, n: int) -> Tensor | None:
        """`int64[S, n]`; None if that was not asked for in the first step."""
        if self._places is None:
            self._sizes[place] = max(n, self._sizes.get(place, 0))
        if not self._places or n > self._sizes.get(place, -1):
            return None
        if self._words is None:
            self._words = by_torch(self._seeds.index_select(1, self._owner), self._each_place)
        start = self._starts[place]
        return self._words[:, start : start + n]

    def lowest(self, place: Place, rate: float) -> Tensor | None:
        """`int16[S]`; None likewise."""
        if self._places is None:
            self._rates[place] = rate
        if not self._places or self._rates.get(place) != rate:
            return None
        return self._lowest[:, self._places.index(place)]
