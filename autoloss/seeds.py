"""Seeds from names, not from history: every random draw has an address.

What is drawn at (run's seed, role, step, index) is the same whether or not anything else was drawn
before, and on every device. So two methods at one seed share initialisation, batch order and
dropout masks (what a paired test needs), and a resumed run needs no generator's state to go on with
the same bits. Only initial values come from torch's generator: see `seeded`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Self

import torch

from autoloss.ops.random import word

AGAIN = -2  # a mask has the places from -1 on (autoloss.ops.dropout): before these lies the next


def derive_seed(seed: int, *address: str | int) -> int:
    """A 63-bit seed for the draw at `address` of run seed `seed`, independent of all others."""
    text = "/".join(map(str, (seed, *address)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


class Draw(NamedTuple):
    """The noise of one pass: of inner step `t`, for a role of a run, which the key stands for."""

    t: int
    key: int

    @classmethod
    def of(cls, t: int, seed: int, *role: str) -> Self:
        """That of step `t` in this role of the run with this seed."""
        return cls(t, derive_seed(seed, *role))

    def seed(self, k: int) -> int:
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
