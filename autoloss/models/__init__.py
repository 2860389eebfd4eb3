"""The deep recommenders: plain modules, `int64[B, F] -> logits`, one file each."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from autoloss.config import ModelOptions
from autoloss.errors import ConfigError, did_you_mean
from autoloss.models.deepfm import DeepFM
from autoloss.models.ipnn import IPNN
from autoloss.task import Task

MODELS: dict[str, type[nn.Module]] = {"deepfm": DeepFM, "ipnn": IPNN}


def build_model(
    name: str, field_sizes: Sequence[int], task: Task, options: ModelOptions
) -> nn.Module:
    """A freshly initialised model, from torch's current random state."""
    if name not in MODELS:
        raise ConfigError(
            "study.models", f"no model is called '{name}'", did_you_mean(name, MODELS)
        )
    return MODELS[name](field_sizes, task, options)
