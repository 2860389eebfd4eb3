"""The tower the paper's models share: linear, batch norm, ReLU, dropout (§3.3: 2 x 128, 0.2)."""

from __future__ import annotations

from torch import nn

from autoloss.config import ModelOptions
from autoloss.models.batch_norm import BatchNorm
from autoloss.models.dropout import Dropout


def mlp(inputs: int, outputs: int, options: ModelOptions) -> nn.Sequential:
    """`[B, inputs] -> [B, outputs]` through `options.hidden`, with a linear output layer."""
    layers: list[nn.Module] = []
    for width in options.hidden:
        layers.append(nn.Linear(inputs, width))
        if options.batch_norm:
            layers.append(BatchNorm(width))
        layers += [nn.ReLU(), Dropout(options.dropout)]
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, outputs))
