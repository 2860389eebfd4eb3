"""Which gradients somebody asked for: what a Function's pass back need not compute."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

_asked: set[int] | None = None


def wanted(node: Any, k: int) -> bool:
    """In the backward pass of a Function: whether anybody asked for the gradient of its input `k`.

    torch's own operations ask this; `needs_input_grad` only says that it could be had. A
    hypergradient goes back along one path of the graph, so most of what it could have is not asked
    for.
    """
    if not node.needs_input_grad[k]:
        return False
    source = node.next_functions[k][0]
    leaf = getattr(source, "variable", None)
    if leaf is not None:  # of a leaf the engine does not say
        return _asked is None or id(leaf) in _asked
    return torch._C._will_engine_execute_node(source)


@contextmanager
def asking_for(leaves: Iterable[Tensor]) -> Iterator[None]:
    """Within it no pass back wants the gradients of other leaves (see `wanted`)."""
    global _asked
    before, _asked = _asked, {id(leaf) for leaf in leaves}
    try:
        yield
    finally:
        _asked = before
