"""What a CUDA graph is, on a CPU: the operations of a step, their addresses and numbers frozen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from autoloss.training.graphs import Work
from autoloss.training.steps import Taken

# A device would be waited for, or a shape depends on numbers.
WAITS = """_local_scalar_dense nonzero _unique2 unique_dim bincount masked_select lift_fresh"""
VIEWS = """
view _unsafe_view reshape expand transpose t permute unsqueeze squeeze select slice split chunk
split_with_sizes unbind detach alias as_strided _reshape_alias empty new_empty empty_like
empty_strided new_empty_strided
"""
# Kernels that one operation starts on CUDA, where it is not one: estimates from its source.
MANY = {
    "embedding_dense_backward": 22,
    **dict.fromkeys(("index_add_", "index_add", "index_put", "index_put_", "index_copy_"), 16),
    "sort": 12,
    **dict.fromkeys(("cumsum", "native_batch_norm", "native_batch_norm_backward"), 2),
}


class Tape(TorchDispatchMode):
    """Within it operations are done and kept; `replay` does them again on the same tensors.

    Raises:
        RuntimeError: what a graph cannot hold, as capturing one does.
    """

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do it, and keep it unless it is a view."""
        kwargs = kwargs or {}
        name = func._schema.name.split("::")[1]
        by_mask = name in ("index", "index_put_") and any(
            isinstance(i, Tensor) and i.dtype is torch.bool for i in args[1]
        )
        if name in WAITS.split() or by_mask:
            raise RuntimeError(f"not in a graph: {func}")
        out = func(*args, **kwargs)
        if name not in VIEWS.split():
            self.calls.append((func, args, kwargs, out))
        return out

    def by_name(self) -> dict[str, int]:
        """Kernels by operation, most first."""
        names = Counter(func._schema.name.split("::")[1] for func, *_ in self.calls)
        each = {name: count * MANY.get(name, 1) for name, count in names.items()}
        return dict(sorted(each.items(), key=lambda item: -item[1]))

    @property
    def kernels(self) -> int:
        """All of them."""
        return sum(self.by_name().values())

    @torch.no_grad()
    def replay(self) -> None:
        """The same operations with the same numbers, to the same places."""
        for func, args, kwargs, out in self.calls:
            again = func(*args, **kwargs)
            for to, value in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(to, Tensor) and to.data_ptr() != value.data_ptr():
                    to.copy_(value)


class Taped:
    """A `Recorder` of `autoloss.training.graphs`: what it records is done again by a `Tape`."""

    def warm(self, work: Work) -> Taken:
        """Do it."""
        return work()

    def record(self, work: Work) -> tuple[Taken, Callable[[], None]]:
        """Do it, and keep it."""
        with Tape() as tape:
            results = work()
        return results, tape.replay
