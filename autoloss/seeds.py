"""Seeds from names, not from history: every random draw has an address.

`derive_seed(seed, "dropout", 17)` is the same whether or not anything else was drawn before. So two
methods at one seed share initialisation, batch order and dropout masks (what a paired test needs),
and a resumed run needs no generator state to go on with the same bits.
"""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager

import torch


def derive_seed(seed: int, *address: str | int) -> int:
    """A 63-bit seed for the draw at `address` of run seed `seed`, independent of all others."""
    text = "/".join(map(str, (seed, *address)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def reseed(seed: int, device: torch.device) -> None:
    """Seed torch's default generator of `device`; `torch.manual_seed` does all, in 0.3 ms."""
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def isolated_randomness(device: torch.device) -> AbstractContextManager[None]:
    """A context that gives torch's generators back as they were."""
    manager: AbstractContextManager[None] = torch.random.fork_rng(
        devices=[device] if device.type == "cuda" else []
    )
    return manager
