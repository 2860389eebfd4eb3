"""Where the boxes of a graph go: in layers by longest path, with few crossings and few bends.

The steps of Sugiyama et al. (1981): an edge over several layers has a place of its own in each.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from statistics import mean

from autoloss.report.figures.boxes import Point, Row, move
from autoloss.report.figures.columns import Link, Place, columns

GAP_Y = 0.18  # inches between layers
TRACK, PORTS = 0.06, 0.25  # inches between arrows that go sideways, and into one box
SWEEPS = 12
Edge = tuple[int, int]


class Layered:
    """The layout of boxes in layers, sources below readers; sets their `x` and `y`.

    `paths` has the points of each edge; `width` and `height` are of it all, from the origin on.
    """

    paths: dict[Edge, list[Point]]

    def __init__(self, boxes: Mapping[int, Row], edges: set[Edge]) -> None:
        self.boxes, depth = boxes, _depths(list(boxes), edges)
        self.layers: list[list[Place]] = [[] for _ in range(max(depth.values()) + 1)]
        for k in boxes:
            self.layers[depth[k]].append(k)
        self.chains: dict[Edge, list[Place]] = {}
        for a, b in sorted(edges):
            crossed: list[Place] = [(a, b, layer) for layer in range(depth[a] + 1, depth[b])]
            for layer, place in enumerate(crossed, start=depth[a] + 1):
                self.layers[layer].append(place)
            self.chains[a, b] = [a, *crossed, b]
        self.links = [link for chain in self.chains.values() for link in pairwise(chain)]
        self._sort()
        self._place()

    def shift(self, dx: float, dy: float) -> None:
        """Move it all."""
        move(self.boxes.values(), dx, dy)
        self.paths = {e: [(x + dx, y + dy) for x, y in path] for e, path in self.paths.items()}

    def _sort(self) -> None:
        """Order each layer by the mean place of what its boxes are linked with below, or above."""
        for sweep in range(SWEEPS):
            links = self.links if sweep % 2 == 0 else [(b, a) for a, b in self.links]
            for layer in self.layers if sweep % 2 == 0 else self.layers[::-1]:
                rank = {p: (k + 0.5) / len(row) for row in self.layers for k, p in enumerate(row)}
                wish = {p: mean([rank[a] for a, b in links if b == p] or [rank[p]]) for p in layer}
                layer.sort(key=wish.__getitem__)

    def _place(self) -> None:
        """Columns, then rows, then the arrows' paths: up, sideways on a track of their own, up."""
        x = columns(self.layers, self.links, self._width, self._port)
        self.width = max(x[p] + self._width(p) / 2 for p in x)
        ends = {(a, b): (x[a] + self._port(a, b), x[b] + self._port(b, a)) for a, b in self.links}
        ends = {link: _straightened(link, *xs) for link, xs in ends.items()}
        heights: dict[Link, float] = {}
        self.height = -GAP_Y
        for layer in self.layers:
            tracks = _tracks({link: ends[link] for link in self.links if link[1] in layer})
            heights |= {link: self.height + GAP_Y / 2 + TRACK * k for link, k in tracks.items()}
            self.height += GAP_Y + TRACK * max(tracks.values(), default=0)
            boxes = {k: self.boxes[k] for k in layer if isinstance(k, int)}
            tallest = max(box.height for box in boxes.values())
            for k, box in boxes.items():
                box.x, box.y = x[k], self.height + tallest / 2
            self.height += tallest
        self.paths = {}
        for (a, b), chain in self.chains.items():
            links = list(pairwise(chain))
            path = [(end, heights[link]) for link in links if link in heights for end in ends[link]]
            start = (ends[links[0]][0], self.boxes[a].top)
            self.paths[a, b] = [start, *path, (ends[links[-1]][1], self.boxes[b].bottom)]

    def _width(self, place: Place) -> float:
        return self.boxes[place].width if isinstance(place, int) else 0.0

    def _port(self, place: Place, to: Place) -> float:
        """How far from a box's centre it meets the link with `to`: its links share the edge."""
        up = (place, to) in self.links
        others = [b if up else a for a, b in self.links if place == (a if up else b)]
        order = [p for layer in self.layers for p in layer if p in others]
        spacing = min(self._width(place) / (len(order) + 1), PORTS)
        return (order.index(to) - (len(order) - 1) / 2) * spacing


def _straightened(link: Link, start: float, end: float) -> tuple[float, float]:
    """Both ends' x; the same where they nearly are, if one of them is a box and so can give way."""
    if abs(start - end) > TRACK or not any(isinstance(place, int) for place in link):
        return start, end
    return (start, start) if isinstance(link[1], int) else (end, end)


def _tracks(ends: Mapping[Link, tuple[float, float]]) -> dict[Link, int]:
    """Links between two layers that go sideways, by track, lowest first, so that none cross.

    Of those that go right, the one that starts rightmost is lowest; and the other way round.
    """
    bent = {link: xs for link, xs in ends.items() if abs(xs[0] - xs[1]) > 1e-6}
    tracks: dict[Link, int] = {}
    for link, (start, end) in sorted(bent.items(), key=_from_the_inside):
        low, high = sorted((start, end))
        under = [
            k for other, k in tracks.items() if min(bent[other]) < high and low < max(bent[other])
        ]
        tracks[link] = max(under, default=-1) + 1
    return tracks


def _from_the_inside(item: tuple[Link, tuple[float, float]]) -> float:
    start, end = item[1]
    return -start if end > start else start


def _depths(boxes: list[int], edges: set[Edge]) -> dict[int, int]:
    """The longest path to each box."""
    depth = dict.fromkeys(boxes, 0)
    for _ in boxes:
        for a, b in edges:
            depth[b] = max(depth[b], depth[a] + 1)
    return depth
