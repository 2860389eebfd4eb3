"""The tower the paper's models share: linear, batch norm, ReLU, dropout (§3.3: 2 x 128, 0.2)."""

from __future__ import annotations

from torch import nn

from autoloss.config import ModelOptions
from autoloss.models.hidden import Hidden
from autoloss.models.products import Linear
from autoloss.models.tower import Tower


def mlp(inputs: int, outputs: int, options: ModelOptions) -> nn.Sequential:
    """`[B, inputs] -> [B, outputs]` through `options.hidden`, with a linear output layer."""
    if not options.batch_norm:
        return Tower(inputs, options.hidden, outputs, options.dropout)
    layers: list[nn.Module] = []
    for width in options.hidden:
        layers.append(Hidden(inputs, width, options.dropout))
        inputs = width
    return nn.Sequential(*layers, Linear(inputs, outputs))
