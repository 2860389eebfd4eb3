"""A colour and a marker for every method, the same in all figures.

The project's methods have theirs in `LOOKS`. Any other, yours too, gets one by its name, in colours
that none of `LOOKS` has, so that adding a method changes no other's; only where two names fall on
one look does the later in the alphabet take the next.

Of the 17 colours seven are Okabe and Ito's. The others were chosen one after another, each as far
from those before as can be: no two are nearer than 14 in CIELAB, to normal eyes and to dichromats
of each kind (Machado et al., IEEE TVCG 15, 2009). What shares a colour differs in its marker, and
in the dashes of its lines.
"""

from __future__ import annotations

import hashlib
from functools import cache
from itertools import product
from typing import NamedTuple

from autoloss.folder import entries
from autoloss.methods.discover import discover
from autoloss.names import varied


class Look(NamedTuple):
    """How a method is drawn: markers that are not `filled` are white within."""

    colour: str
    marker: str
    filled: bool = True
    dashes: str = "-"


LOOKS = {
    "ce": Look("#000000", "s"),
    "focal": Look("#e69f00", "^"),
    "kl": Look("#56b4e9", "v"),
    "hinge": Look("#009e73", "D"),
    "hinge_logit": Look("#005555", "D", filled=False, dashes="--"),
    "bohb": Look("#7700dd", ">"),
    "grid": Look("#9977ff", "*"),
    "gumbel_only": Look("#bbbb77", "p"),
    "slf": Look("#0072b2", "P"),
    "darts": Look("#775533", "<"),
    "melu": Look("#cc79a7", "X"),
    "autoloss": Look("#d55e00", "o"),
    "autoloss_ce": Look("#770033", "o", filled=False, dashes="--"),
    # Of other tables and figures: variants in their method's colour, others in one of Table 2's.
    "al1": Look("#7700dd", "s", filled=False, dashes=":"),
    "al2": Look("#d55e00", "p", filled=False, dashes="--"),
    "autoloss_direct": Look("#d55e00", "d", dashes="-."),
    "autoloss_frozen": Look("#d55e00", "o", filled=False, dashes=":"),
    "autoloss_seeing": Look("#770033", "d", dashes="-."),
    "ce_more_data": Look("#000000", "s", filled=False, dashes="--"),
    "constant": Look("#bbbb77", "D", filled=False, dashes="-."),
    "darts_ce": Look("#775533", "<", filled=False, dashes="--"),
    "darts_first": Look("#775533", "d", dashes=":"),
    "dwa": Look("#56b4e9", "p", dashes="--"),
    "gradnorm": Look("#009e73", "*", dashes="--"),
    "l2rw": Look("#e69f00", "d", dashes="--"),
    "melu_mixture": Look("#cc79a7", "X", filled=False, dashes="--"),
    "melu_published": Look("#cc79a7", "d", filled=False, dashes=":"),
    "meta_weight_net": Look("#0072b2", "*", filled=False, dashes="--"),
    "opposite": Look("#cc79a7", "v", dashes="-."),
    "ranking": Look("#005555", "<", dashes="-."),
    "refined_grid": Look("#9977ff", "*", filled=False, dashes="-."),
    "scaled": Look("#0072b2", "^", dashes="-."),
    "slf_frozen": Look("#0072b2", "P", filled=False, dashes=":"),
    "uncertainty": Look("#9977ff", "X", dashes="--"),
}
OTHERS = ("#aa0088", "#ee4466", "#66aa44", "#2244aa")
MARKERS, DASHES = "os^vDPX<>d*p", ("-", "--", "-.", ":")
SLOTS = [(c, marker, filled) for marker, filled, c in product(MARKERS, (True, False), OTHERS)]


def look_of(name: str) -> Look:
    """How a method, a variant of one or a candidate loss is drawn, without any style file."""
    name = varied(name)
    if name in LOOKS:
        return LOOKS[name]
    return looks_of(frozenset({*known(), name}))[name]


def known() -> list[str]:
    """Everything that has a look: methods and losses, a loss and the method that uses it alone
    being one."""
    return [*dict.fromkeys([*discover(), *entries("losses")])]


@cache
def looks_of(names: frozenset[str]) -> dict[str, Look]:
    """The looks of these names, no two alike up to as many as there are."""
    looks: dict[str, Look] = {}
    free = list(SLOTS)
    for name in sorted(names):
        if name in LOOKS:
            looks[name] = LOOKS[name]
            continue
        start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
        first = start % len(SLOTS)
        order = SLOTS[first:] + SLOTS[:first]
        slot = next((slot for slot in order if slot in free), order[0])
        free = [other for other in free if other != slot]
        looks[name] = Look(*slot, dashes=DASHES[start // len(SLOTS) % len(DASHES)])
    return looks
