"""Seeds from names, not from history: every random draw has an address.

What is drawn at (run's seed, role, step, index) is the same whether or not anything else was drawn
before, and on every device. So two methods at one seed share initialisation, batch order and
dropout masks (what a paired test needs), and a resumed run needs no generator's state to go on with
the same bits. Only initial values come from torch's generator: see `seeded`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from autoloss.ops.noise import AGAIN, Place, Plan, lowest_of, seeds_of
from autoloss.ops.random import Seed, by_torch, word


def derive_seed(seed: int, *address: str | int) -> int:
    """A 63-bit seed for the draw at `address` of run seed `seed`, independent of all others.

    Raises:
        ValueError: the seed is that of a stack, whose runs draw by `Draw` each for itself.
    """
    if isinstance(seed, Seeds):
        raise ValueError("a stack has no seed of its own: draw by `draw.seed(k)`")
    text = "/".join(map(str, (seed, *address)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


class Seeds:
    """Those of a stack's runs, and the noise of the step that all of them are at.

    `clock`, `int64[]` on the device, is that step; keys lie there too, made once for each role.
    """

    def __init__(self, each: Sequence[int], device: torch.device) -> None:
        self.each, self.device, self.t = tuple(each), device, 0
        self.clock = torch.zeros((), dtype=torch.int64, device=device)
        self._keys: dict[tuple[str, ...], Tensor] = {}
        self._plans: dict[Hashable, Plan] = {}
        self._plan = Plan(self.keys)
        self._made: dict[Hashable, Tensor] = {}  # of this step's noise

    def begin(self, t: int, alike: Hashable) -> None:
        """Step `t` is next; those that are `alike` draw the same noise, of other steps."""
        self.t = t
        self.clock.fill_(t)
        self._made.clear()
        self._plan = self._plans.setdefault(alike, Plan(self.keys))
        self._plan.begin(t)

    def once(self, place: Place | None, make: Callable[[], Tensor], *what: Hashable) -> Tensor:
        """What is made of a place's words, or of none, in this step; made once."""
        if (place, what) not in self._made:
            self._made[place, what] = make()
        return self._made[place, what]

    def keys(self, *role: str) -> Tensor:
        """`int64[S]`: for each run what `derive_seed` gives."""
        if role not in self._keys:
            keys = [derive_seed(seed, *role) for seed in self.each]
            self._keys[role] = torch.tensor(keys, device=self.device)
        return self._keys[role]

    def words(self, place: Place, n: int) -> Tensor:
        """Of this step, `int64[S, n]`."""
        if (planned := self._plan.words(place, n)) is not None:
            return planned
        return by_torch(self._own(place), torch.arange(n, device=self.device))

    def lowest(self, place: Place, rate: float) -> Tensor:
        """As `autoloss.ops.dropout.lowest`, of this step, `int16[S]`."""
        if (planned := self._plan.lowest(place, rate)) is not None:
            return planned
        rates = torch.full((1,), rate, dtype=torch.float64, device=self.device)
        return lowest_of(self._own(place), rates).squeeze(-1)

    def _own(self, place: Place) -> Tensor:
        """The seeds of one place, `int64[S, 1]`."""
        return seeds_of([place], self.keys, self.clock)

    def __deepcopy__(self, memo: object) -> Seeds:
        return self  # a copy of a method is at the same step


class Drawn(NamedTuple):
    """A draw of a stack: see `autoloss.ops.random.Noise`."""

    seeds: Seeds
    place: Place

    def words(self, n: int) -> Tensor:
        """Those at the places from 0 on, `int64[S, n]`."""
        return self.seeds.words(self.place, n)

    def lowest(self, rate: float) -> Tensor:
        """The lowest draw of 16 bits that dropout keeps, `int16[S]`."""
        return self.seeds.lowest(self.place, rate)

    def once(self, make: Callable[[], Tensor], *what: Hashable) -> Tensor:
        """See `Seeds.once`."""
        return self.seeds.once(self.place, make, *what)

    def again(self) -> Drawn:
        """The next time that the same draws in this pass."""
        return self._replace(place=self.place._replace(again=self.place.again + 1))


# A step: a number, or of a stack `int64[]` on its device, so that what is drawn follows it there.
Time = int | Tensor


class Draw(NamedTuple):
    """The noise of one pass: of inner step `t`, for a role of a run, which the key stands for.

    Of a stack the key is its seeds with the role, and each run draws what it draws alone.
    """

    t: Time
    key: int | tuple[Seeds, tuple[str, ...]]

    @classmethod
    def of(cls, t: Time, seed: int | Seeds, *role: str) -> Self:
        """That of step `t` in this role of the run with this seed.

        Raises:
            ValueError: a stack is at another step; it draws the noise of its own.
        """
        if isinstance(seed, int):
            return cls(t, derive_seed(seed, *role))
        if t is not seed.clock and t != seed.t:
            raise ValueError(f"noise of step {int(t)}, and the stack is at step {seed.t}")
        return cls(t, (seed, role))

    def once(self, make: Callable[[], Any], *what: Hashable) -> Any:
        """What `make` gives; of a stack once in a step, by the name of `what`."""
        return make() if isinstance(self.key, int) else self.key[0].once(None, make, *what)

    def seed(self, k: int) -> Seed:
        """The seed for what draws k-th in the pass: 0 is the relaxation, dropout is 1, 2, ..."""
        if isinstance(self.key, int):
            return word(word(self.key, int(self.t)), k)
        seeds, role = self.key
        return Drawn(seeds, Place(role, k))

    def seeds(self, k: int) -> Iterator[Seed]:
        """Of what draws more than once in the pass: `seed(k)`, then one for each time again."""
        seed = self.seed(k)
        while True:
            yield seed
            seed = word(seed, AGAIN) if isinstance(seed, int) else seed.again()


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Start torch's CPU generator from `seed`, for initial values, and give it back as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not `torch.manual_seed`, which does all devices
        yield
