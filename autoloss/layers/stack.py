"""Runs side by side as one module: a stack has one dimension more in front, of its S runs.

Modules name dimensions from the end, so their own code computes one run or a stack. All parameters
and buffers are `[S, ...]`, but embedding tables: these lie one under the other, and to a table S
runs are S times the fields, whatever the sizes of each run's.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor, nn

from autoloss.layers.batch_norm import BatchNorm
from autoloss.layers.embedding import FieldEmbedding
from autoloss.layers.linear import Linear

Module = TypeVar("Module", bound=nn.Module)
# torch's own modules that take no stack, by those that compute the same and do.
TAKES: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: Linear, nn.BatchNorm1d: BatchNorm}


def stacked(modules: Sequence[Module]) -> Module:
    """One module of S alike; their values are copied."""
    whole = copy.deepcopy(modules[0])
    tables = _tables(whole)
    for module in whole.modules():
        module.__class__ = TAKES.get(type(module), type(module))
    each = [tensors(module) for module in modules]
    for name, value in tensors(whole).items():
        runs = [tensors[name].detach() for tensors in each]
        owner, _, own = name.rpartition(".")
        table = tables.get(owner)
        # In place: optimizers and lists of parameters hold them too.
        if table is None:
            value.data = torch.stack(runs)
        elif own == "weight":
            value.data = torch.cat((*runs, runs[0].new_zeros(1, runs[0].shape[1])))  # nobody's row
        else:
            ends = torch.stack([bounds[-1] for bounds in runs]).cumsum(0)
            starts = torch.cat((torch.zeros_like(ends[:1]), ends[:-1]))
            value.data = torch.stack(runs) + starts.unsqueeze(1)
            table.spans = list(zip(starts.tolist(), ends.tolist(), strict=True))
    return whole


def part(whole: nn.Module, s: int, *, buffers: bool = False) -> dict[str, Tensor]:
    """What the state of run `s` has alone, by name: views of the stack's tensors.

    With `buffers` those too that no checkpoint has, but for tables', which are their places.
    """
    tables, state = _tables(whole), {}
    for name, value in (tensors(whole) if buffers else whole.state_dict()).items():
        owner, _, own = name.rpartition(".")
        if owner not in tables and isinstance(value, Tensor):
            state[name] = value[s]
        elif own == "weight":
            state[name] = value[slice(*tables[owner].spans[s])]
    return state


@torch.no_grad()
def copy_into(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Write the values of `state` over the module's parameters and buffers, by name.

    A buffer that has had another shape since has it here, too.
    """
    for name, value in state.items():
        owner, _, own = name.rpartition(".")
        holder = module.get_submodule(owner)
        if own in holder._buffers:
            holder._buffers[own] = value.clone()
        else:
            getattr(holder, own).copy_(value)


def tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers by name."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _tables(module: nn.Module) -> dict[str, FieldEmbedding]:
    return {name: m for name, m in module.named_modules() if isinstance(m, FieldEmbedding)}
