"""Seeds from names, not from history: every random draw has an address.

`derive_seed(seed, "dropout", 17)` is the same whether or not anything else was drawn before. So two
methods at one seed share initialisation, batch order and dropout masks (what a paired test needs),
and a resumed run needs no generator state to go on with the same bits.
"""

from __future__ import annotations

import hashlib


def derive_seed(seed: int, *address: str | int) -> int:
    """A 63-bit seed for the draw at `address` of run seed `seed`, independent of all others."""
    text = "/".join(map(str, (seed, *address)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
