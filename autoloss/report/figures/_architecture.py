"""A model's structure as it runs: its modules by forward hooks, the rest by the autograd graph.

What a model computes between its modules, and the parameters it has outside of them, are in the
graph of its output: a picture drawn from it can leave nothing out.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import networkx as nx
import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from autoloss.layers.dropout import Dropout, drawing, dropouts
from autoloss.layers.embedding import FieldEmbedding, Window
from autoloss.layers.hidden import Hidden
from autoloss.layers.tower import Tower
from autoloss.seeds import Draw

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
# What only arranges numbers belongs to what reads them.
RESHAPES = re.compile(
    r"((unsafe|reshape) )?(view|alias)|expand|t|transpose|permute|(un)?squeeze|clone|as strided|"
    r"index select"
)


@dataclass(eq=False)
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
    shape: str = ""
    holds: list[str] = field(default_factory=list)
    starts_layer: bool = False

    def has(self, name: str) -> bool:
        """Whether it has the module or parameter of this name."""
        return any(name == held or name.startswith(f"{held}.") for held in self.holds)


def trace(model: nn.Module, fields: int) -> nx.DiGraph[Part]:
    """The parts of a model of `fields` input fields, and what reads what, from ids to logits."""
    model = copy.deepcopy(model).double()  # no kernels there, which do many steps at once
    for module in model.modules():
        if isinstance(module, Tower):
            module.fused = False
    ids = torch.zeros(BATCH, fields, dtype=torch.int64)
    logits, owner = _run(model, ids)
    graph = _connect(model, logits, owner)
    graph.add_edge(owner[_origin(logits)], Part(["logits"], "data", _shape(logits)))
    _simplify(graph)
    # Ids are integers, of which no gradient is taken: what has no other source reads them.
    start = Part(["ids"], "data", _shape(ids))
    graph.add_edges_from([(start, part) for part in graph if not graph.in_degree(part)])
    unused = [n for n, _ in model.named_parameters() if not any(part.has(n) for part in graph)]
    if unused:
        graph.add_node(Part(["not used"], "op", holds=unused))
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


def _run(model: nn.Module, ids: Tensor) -> tuple[Tensor, dict[Node, Part]]:
    """A forward pass; a module's call owns the graph between its input and its output."""
    owner: dict[Node, Part] = {}
    before: dict[nn.Module, list[Node]] = {}
    names = {module: name for name, module in leaves(model)}
    tables: set[nn.Module] = set()  # those that were looked up in

    def enter(module: nn.Module, arguments: Any) -> None:
        before[module] = list(_origins(arguments))

    def leave(module: nn.Module, arguments: Any, output: Any) -> None:
        new = [node for node in _origins(output) if node not in before[module]]
        if (
            new and module not in tables
        ):  # else it gives back what it is given, as a dropout of 0 does
            shape = _shape(next(t for t in _tensors(output) if t.grad_fn is new[0]))
            part = Part(describe(module), "module", shape, [names[module]], has_matrix(module))
            for node in _upstream(new, before[module]):
                owner.setdefault(node, part)

    hooks = [m.register_forward_pre_hook(enter) for m in names]
    hooks += [m.register_forward_hook(leave) for m in names]
    places = torch.arange(ids.numel()).view(ids.shape)
    for table in (module for module in names if isinstance(module, FieldEmbedding)):
        rows = table(ids).flatten(0, 1)
        table.window = Window(rows, places)  # a model may look up by operations of its own
        tables.add(table)
    with drawing(dropouts(model), Draw(0, 0)):
        logits: Tensor = model(ids)
    for hook in hooks:
        hook.remove()
    return logits, owner


def _connect(model: nn.Module, logits: Tensor, owner: dict[Node, Part]) -> nx.DiGraph[Part]:
    """The parts as a graph; what happens between modules gets an owner too."""
    names = {id(value): name for name, value in model.named_parameters()}
    nodes = [n for n in _upstream([_origin(logits)], ()) if _parameter(n) is None]
    for node in nodes:
        if node not in owner:
            output = node._input_metadata[0]  # a backward step's input is the step's output
            owner[node] = Part([_words(node)], "op", _shape(output))
    graph: nx.DiGraph[Part] = nx.DiGraph()
    graph.add_nodes_from(dict.fromkeys(owner[node] for node in nodes))
    for node in nodes:
        part = owner[node]
        for source in _sources(node):
            if _parameter(source) is not None:
                name = names[id(_parameter(source))]
                part.holds += [] if part.has(name) else [name]
            elif owner[source] is not part:
                graph.add_edge(owner[source], part)
    return graph


def _simplify(graph: nx.DiGraph[Part]) -> None:
    """Drop what only reshapes, and join what reads better as one box."""
    for part in list(graph)[::-1]:  # from the ids on
        if part.role == "op" and RESHAPES.fullmatch(part.steps[0]):
            _drop(graph, part)
        elif part.role == "op" and not graph.in_degree(part) and "B" not in part.shape:
            for reader in graph.successors(part):  # of what is made of parameters alone
                own = [step for step in part.steps if not RESHAPES.fullmatch(step)]
                reader.steps = own + reader.steps
            _drop(graph, part)
    for part in list(graph)[::-1]:  # from the ids on
        readers = list(graph.successors(part))
        if len(readers) == 1 and _belong_together(graph, part, readers[0]):
            (reader,) = readers
            reader.steps = reader.steps if part.steps == reader.steps else part.steps + reader.steps
            reader.starts_layer |= part.starts_layer
            _drop(graph, part)


def _drop(graph: nx.DiGraph[Part], part: Part) -> None:
    """Take a part out: what read it now reads its sources, and holds what it held."""
    readers = list(graph.successors(part))
    for reader in readers:
        reader.holds[:0] = part.holds
    graph.add_edges_from(list(product(graph.predecessors(part), readers)))
    graph.remove_node(part)


def _belong_together(graph: nx.DiGraph[Part], first: Part, second: Part) -> bool:
    """Whether `second`, the only reader of `first`, goes on with what `first` does."""
    if first.role != second.role or first.role == "data":
        return False
    if first.role == "op" and first.steps == second.steps == ["addition"]:
        return True  # of many terms
    if list(graph.predecessors(second)) != [first]:
        return False
    if first.role == "op":
        return True
    # A hidden layer: a matrix, then what keeps its width, from the same container.
    same = first.holds[-1].rpartition(".")[0] == second.holds[0].rpartition(".")[0]
    return same and first.shape == second.shape and not second.starts_layer


def _upstream(starts: Iterable[Node], stop: Container[Node]) -> dict[Node, None]:
    reached: dict[Node, None] = {}
    todo = list(starts)
    while todo:
        node = todo.pop()
        if node not in reached and node not in stop:
            reached[node] = None
            todo += _sources(node)
    return reached


def _sources(node: Node) -> list[Node]:
    return [source for source, _ in node.next_functions if source is not None]


def _parameter(node: Node) -> Any:
    """The parameter whose gradient the node accumulates, None for any other node."""
    return getattr(node, "variable", None)


def _origin(tensor: Tensor) -> Node:
    assert tensor.grad_fn is not None
    return tensor.grad_fn


def _origins(value: Any) -> Iterator[Node]:
    return (tensor.grad_fn for tensor in _tensors(value) if tensor.grad_fn is not None)


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
