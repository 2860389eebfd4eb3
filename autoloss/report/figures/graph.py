"""A model's parts and which reads which, and what of it a picture can do without."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# What only arranges numbers belongs to what reads them.
RESHAPES = re.compile(
    r"((unsafe|reshape) )?(view|alias)|expand|t|transpose|permute|(un)?squeeze|clone|as strided"
)


@dataclass
class Part:
    """A part of a model, to be one box.

    Args:
        steps: what happens in it, in order: modules by their class, operations in words.
        role: "module", "op" (between modules) or "data".
        shape: of its output.
        holds: names of the modules, and of parameters outside of them, that are in it.
        starts_layer: it has a matrix of weights.
    """

    steps: list[str]
    role: str
    shape: str
    holds: list[str] = field(default_factory=list)
    starts_layer: bool = False

    def has(self, name: str) -> bool:
        """Whether it has the module or parameter of this name."""
        return any(name == held or name.startswith(f"{held}.") for held in self.holds)


@dataclass
class Graph:
    """Parts by number, and edges (a, b) where b reads a."""

    parts: dict[int, Part] = field(default_factory=dict)
    edges: set[tuple[int, int]] = field(default_factory=set)

    def add(self, part: Part) -> int:
        """The new part's number."""
        number = max(self.parts, default=-1) + 1
        self.parts[number] = part
        return number

    def sources(self, k: int) -> list[int]:
        """What part `k` reads."""
        return sorted(a for a, b in self.edges if b == k)

    def readers(self, k: int) -> list[int]:
        """What reads part `k`."""
        return sorted(b for a, b in self.edges if a == k)

    def drop(self, k: int) -> None:
        """Take part `k` out: what read it now reads its sources, and holds what it held."""
        sources, readers = self.sources(k), self.readers(k)
        part = self.parts.pop(k)
        for reader in readers:
            self.parts[reader].holds[:0] = part.holds
        self.edges = {edge for edge in self.edges if k not in edge}
        self.edges |= {(a, b) for a in sources for b in readers}

    def join(self, first: int, second: int) -> None:
        """Make them one part, which does what `first` did, then what `second` did."""
        a, b = self.parts[first], self.parts[second]
        b.steps = b.steps if a.steps == b.steps else a.steps + b.steps
        b.starts_layer |= a.starts_layer
        self.drop(first)


def simplify(graph: Graph) -> None:
    """Drop what only reshapes, and join what reads better as one box."""
    for k in list(graph.parts):
        part = graph.parts[k]
        if part.role == "op" and RESHAPES.fullmatch(part.steps[0]):
            graph.drop(k)
    for k in list(graph.parts):
        readers = graph.readers(k)
        if len(readers) == 1 and _belong_together(graph, k, readers[0]):
            graph.join(k, readers[0])


def _belong_together(graph: Graph, first: int, second: int) -> bool:
    """Whether `second`, the only reader of `first`, goes on with what `first` does."""
    a, b = graph.parts[first], graph.parts[second]
    if a.role != b.role or a.role == "data":
        return False
    if a.role == "op" and a.steps == b.steps == ["addition"]:
        return True  # of many terms
    if graph.sources(second) != [first]:
        return False
    if a.role == "op":
        return True
    # A hidden layer: a matrix, then what keeps its width, from the same container.
    same = a.holds[-1].rpartition(".")[0] == b.holds[0].rpartition(".")[0]
    return same and a.shape == b.shape and not b.starts_layer
