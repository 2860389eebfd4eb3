"""What a CUDA graph is, on a CPU: the operations of a step, their addresses and numbers frozen."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

# A device would be waited for, or a shape depends on numbers.
WAITS = """_local_scalar_dense nonzero _unique2 unique_dim bincount masked_select lift_fresh"""
VIEWS = """
view _unsafe_view reshape expand transpose t permute unsqueeze squeeze select slice split chunk
split_with_sizes unbind detach alias as_strided _reshape_alias empty new_empty empty_like
empty_strided new_empty_strided
"""


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

    @torch.no_grad()
    def replay(self) -> None:
        """The same operations with the same numbers, to the same places."""
        for func, args, kwargs, out in self.calls:
            again = func(*args, **kwargs)
            for to, value in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(to, Tensor) and to.data_ptr() != value.data_ptr():
                    to.copy_(value)
