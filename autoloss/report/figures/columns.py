"""The columns of a layered graph (Gansner et al. 1993): a linear program keeps links upright."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from scipy.optimize import linprog

Place = int | tuple[int, int, int]  # a box, or where edge (a, b) crosses a layer: (a, b, layer)
Link = tuple[Place, Place]  # the part of an edge from one layer to the next

GAP_X = 0.14  # inches between boxes
CROSSING, MIDDLE = 3.0, 0.05  # weights beside a link's 1: per end that is no box; of being central
Term = tuple[dict[Place, float], float, float]  # |sum of factor x + constant|, with its weight


def columns(
    layers: Sequence[Sequence[Place]],
    links: Sequence[Link],
    width: Callable[[Place], float],
    port: Callable[[Place, Place], float],
) -> dict[Place, float]:
    """Each place's centre: in the order of its layer, with the least way that links go sideways.

    Args:
        port: how far from a place's centre it meets its link with another.
    """
    places = [place for layer in layers for place in layer]
    number = {place: k for k, place in enumerate(places)}
    apart = [pair for layer in layers for pair in pairwise(layer)]
    terms = [*_upright(links, port), *_central(places, links)]
    # A term has a variable of its own, at least the sum and at least its negative.
    matrix = np.zeros((len(apart) + 2 * len(terms), len(places) + len(terms)))
    limit = np.zeros(len(matrix))
    for k, (a, b) in enumerate(apart):
        matrix[k, number[a]], matrix[k, number[b]] = 1, -1
        limit[k] = -GAP_X - (width(a) + width(b)) / 2
    for k, (factors, constant, _) in enumerate(terms):
        for at, sign in enumerate((1, -1), start=len(apart) + 2 * k):
            for place, factor in factors.items():
                matrix[at, number[place]] = sign * factor
            matrix[at, len(places) + k], limit[at] = -1, -sign * constant
    cost = [0.0] * len(places) + [weight for *_, weight in terms]
    lowest = [width(place) / 2 for place in places] + [0.0] * len(terms)
    found = linprog(cost, matrix, limit, bounds=[(low, None) for low in lowest]).x
    return {place: float(found[k]) for place, k in number.items()}


def _upright(links: Sequence[Link], port: Callable[[Place, Place], float]) -> list[Term]:
    """Links go straight up, above all those of edges that cross layers."""
    found: list[Term] = []
    for link in links:
        a, b = link
        weight = 1 + CROSSING * sum(isinstance(place, tuple) for place in link)
        found.append(({a: 1, b: -1}, port(a, b) - port(b, a), weight))
    return found


def _central(places: Sequence[Place], links: Sequence[Link]) -> list[Term]:
    """Where that leaves a choice: in the middle of what is above, and of what is below."""
    found: list[Term] = []
    for place in places:
        for others in ([b for a, b in links if a == place], [a for a, b in links if b == place]):
            if others:
                share = -1 / len(others)
                found.append(({place: 1, **dict.fromkeys(others, share)}, 0.0, MIDDLE))
    return found
