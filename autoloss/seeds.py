"""Seeds from names, not from history: every random draw has an address.

What is drawn at (run's seed, role, step, index) is the same whether or not anything else was drawn
before, and on every device. So two methods at one seed share initialisation, batch order and
dropout masks (what a paired test needs), and a resumed run needs no generator's state to go on with
the same bits. Only initial values come from torch's generator: see `seeded`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from autoloss.ops.random import Seed, word

AGAIN = -2  # a mask has the places from -1 on (autoloss.ops.dropout): before these lies the next


def derive_seed(seed: int, *address: str | int) -> int:
    """A 63-bit seed for the draw at `address` of run seed `seed`, independent of all others."""
    text = "/".join(map(str, (seed, *address)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


class Seeds:
    """Those of a stack's runs; keys derived of them lie on `device`, made once for each role."""

    def __init__(self, each: Sequence[int], device: torch.device) -> None:
        self.each, self.device = tuple(each), device
        self._keys: dict[tuple[str, ...], Tensor] = {}

    def keys(self, *role: str) -> Tensor:
        """`int64[S]`: for each run what `derive_seed` gives."""
        if role not in self._keys:
            keys = [derive_seed(seed, *role) for seed in self.each]
            self._keys[role] = torch.tensor(keys, device=self.device)
        return self._keys[role]


# A step: a number, or of a stack `int64[]` on its device, so that what is drawn follows it there.
Time = int | Tensor


class Draw(NamedTuple):
    """The noise of one pass: of inner step `t`, for a role of a run, which the key stands for.

    Of a stack the key is `int64[S]`, and each run draws what it draws alone.
    """

    t: Time
    key: Seed

    @classmethod
    def of(cls, t: Time, seed: int | Seeds, *role: str) -> Self:
        """That of step `t` in this role of the run with this seed."""
        return cls(t, seed.keys(*role) if isinstance(seed, Seeds) else derive_seed(seed, *role))

    def seed(self, k: int) -> Any:
        """The seed for what draws k-th in the pass: 0 is the relaxation, dropout is 1, 2, ..."""
        return word(word(self.key, self.t), k)

    def seeds(self, k: int) -> Iterator[int]:
        """Of what draws more than once in the pass: `seed(k)`, then one for each time again."""
        seed = self.seed(k)
        while True:
            yield seed
            seed = word(seed, AGAIN)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Start torch's CPU generator from `seed`, for initial values, and give it back as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # not `torch.manual_seed`, which does all devices
        yield
