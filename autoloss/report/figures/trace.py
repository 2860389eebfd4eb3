"""A model's structure as it runs: its modules by forward hooks, the rest by the autograd graph.

What a model computes between its modules, and the parameters it has outside of them, are in the
graph of its output: a picture drawn from it can leave nothing out.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from autoloss.models.dropout import Dropout
from autoloss.models.hidden import Hidden
from autoloss.report.figures.graph import Graph, Part, simplify

BATCH = 1009  # a prime that nothing else has: where it is in a shape, that is the batch
WORDS = {
    "add": "addition",
    "sub": "difference",
    "mul": "product",
    "div": "quotient",
    "pow": "power",
    "bmm": "matrix product",
    "cat": "concatenation",
}


def trace(model: nn.Module, fields: int) -> Graph:
    """The parts of a model of `fields` input fields, from its ids to its logits."""
    model = copy.deepcopy(model).double()  # no kernels there, which do many steps at once
    graph, owner = Graph(), dict[Node, int]()
    ids = torch.zeros(BATCH, fields, dtype=torch.int64)
    start = graph.add(Part(["ids"], "data", _shape(ids)))
    logits = _run(model, ids, graph, owner)
    end = graph.add(Part(["logits"], "data", _shape(logits)))
    _link(model, logits, graph, owner)
    graph.edges.add((owner[_origin(logits)], end))
    simplify(graph)
    # Ids are integers, of which no gradient is taken: what has no other source reads them.
    graph.edges |= {(start, k) for k in graph.parts if k != start and not graph.sources(k)}
    shown = list(graph.parts.values())
    unused = [n for n, _ in model.named_parameters() if not any(p.has(n) for p in shown)]
    if unused:
        graph.add(Part(["not used"], "op", "", unused))
    return graph


def describe(module: nn.Module) -> list[str]:
    """A module's class, and the numbers that its output's shape does not tell; of a layer, all."""
    name = type(module).__name__
    if isinstance(module, Hidden):
        return [step for part in module.children() for step in describe(part)]
    if isinstance(module, Dropout):
        return [f"{name} {module.rate:g}"] if module.rate else []
    if isinstance(module, nn.Linear):
        return [f"{name} {module.in_features} → {module.out_features}"]
    return [name]


def has_matrix(module: nn.Module) -> bool:
    """Whether it has a matrix of weights: a layer starts with one."""
    return any(weight.ndim > 1 for weight in module.parameters())


def leaves(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """The modules in it that are run as one, each a box of its own."""
    if isinstance(module, Hidden) or not any(True for _ in module.children()):
        yield prefix, module
        return
    for name, child in module.named_children():
        yield from leaves(child, f"{prefix}.{name}" if prefix else name)


def _run(model: nn.Module, ids: Tensor, graph: Graph, owner: dict[Node, int]) -> Tensor:
    """A forward pass; a module's call owns the graph between its input and its output."""
    before: dict[nn.Module, list[Node]] = {}
    names = {module: name for name, module in leaves(model)}

    def enter(module: nn.Module, arguments: Any) -> None:
        before[module] = [_origin(t) for t in _tensors(arguments) if t.grad_fn is not None]

    def leave(module: nn.Module, arguments: Any, output: Any) -> None:
        found = [t for t in _tensors(output) if t.grad_fn is not None]
        found = [t for t in found if _origin(t) not in before[module]]
        if not found:  # it gives back what it is given, as a dropout of 0 does
            return
        part = Part(describe(module), "module", _shape(found[0]), [names[module]])
        part.starts_layer = has_matrix(module)
        number = graph.add(part)
        for node in _upstream([_origin(t) for t in found], before[module]):
            owner.setdefault(node, number)

    hooks = [m.register_forward_pre_hook(enter) for m in names]
    hooks += [m.register_forward_hook(leave) for m in names]
    logits: Tensor = model(ids)
    for hook in hooks:
        hook.remove()
    return logits


def _link(model: nn.Module, logits: Tensor, graph: Graph, owner: dict[Node, int]) -> None:
    """Add what happens between modules, and all edges."""
    names = {id(value): name for name, value in model.named_parameters()}
    nodes = [n for n in _upstream([_origin(logits)], ()) if _parameter(n) is None]
    for node in nodes:
        if node not in owner:
            output = node._input_metadata[0]  # a backward step's input is the step's output
            owner[node] = graph.add(Part([_words(node)], "op", _shape(output)))
    for node in nodes:
        part = graph.parts[owner[node]]
        for source in _sources(node):
            if _parameter(source) is None:
                graph.edges.add((owner[source], owner[node]))
            elif not part.has(name := names[id(_parameter(source))]):
                part.holds.append(name)
    graph.edges = {(a, b) for a, b in graph.edges if a != b}


def _upstream(starts: Iterable[Node], stop: Container[Node]) -> dict[Node, None]:
    found: dict[Node, None] = {}
    todo = list(starts)
    while todo:
        node = todo.pop()
        if node not in found and node not in stop:
            found[node] = None
            todo += _sources(node)
    return found


def _sources(node: Node) -> list[Node]:
    return [source for source, _ in node.next_functions if source is not None]


def _parameter(node: Node) -> Any:
    """The parameter whose gradient the node accumulates, None for any other node."""
    return getattr(node, "variable", None)


def _origin(tensor: Tensor) -> Node:
    assert tensor.grad_fn is not None
    return tensor.grad_fn


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for part in value:
            yield from _tensors(part)


def _words(node: Node) -> str:
    """`PairSumBackward0` as "pair sum"."""
    name = re.sub(r"Backward\d*$", "", node.name()).lstrip("_")
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return WORDS.get(words, words)


def _shape(tensor: Any) -> str:
    named = {BATCH: "B"} | {k * BATCH: f"{k}B" for k in range(2, 100)}
    return f"[{', '.join(named.get(int(size), str(int(size))) for size in tensor.shape)}]"
