"""The deep recommenders: plain modules, `int64[B, F] -> logits`, one file each."""

from __future__ import annotations

import importlib
from collections.abc import Sequence

from torch import nn

from autoloss.config import ModelOptions
from autoloss.registry import MODELS
from autoloss.task import Task


def build_model(
    name: str, field_sizes: Sequence[int], task: Task, options: ModelOptions
) -> nn.Module:
    """A freshly initialised model of `registry.MODELS`, from torch's current random state."""
    module = importlib.import_module(f"autoloss.models.{name}")
    model: nn.Module = getattr(module, MODELS[name])(field_sizes, task, options)
    return model
