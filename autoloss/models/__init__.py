"""The deep recommenders: plain modules, `int64[B, F] -> logits`, one file each.

A file has a class with `info` (see `autoloss.folder`), made of the sizes of the fields, the task
and the options. Only the files themselves import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from autoloss.config import ModelOptions
from autoloss.folder import Info, entries, member, read
from autoloss.task import Task

if TYPE_CHECKING:
    from torch import nn

MODELS = {name: info.label for name, info in entries("models").items()}


def build_model(
    name: str, field_sizes: Sequence[int], task: Task, options: ModelOptions
) -> nn.Module:
    """A freshly initialised model of `MODELS`, from torch's current random state.

    Raises:
        MethodError: its file does not import.
    """
    owner, _ = read(Path(__file__).with_name(f"{name}.py"), Info, "see the others beside it")
    assert owner is not None  # as `entries` requires
    kind = member(f"autoloss.models.{name}", owner.name)
    model: nn.Module = kind(field_sizes, task, options)
    return model
