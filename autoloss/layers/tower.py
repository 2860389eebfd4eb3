"""The tower the paper's models share: linear, batch norm, ReLU, dropout (§3.3: 2 x 128, 0.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from autoloss.config import ModelOptions
from autoloss.layers.dropout import Dropout
from autoloss.layers.hidden import Hidden
from autoloss.layers.linear import Linear
from autoloss.ops.tower import tower


def mlp(inputs: int, outputs: int, options: ModelOptions) -> nn.Sequential:
    """`[B, inputs] -> [B, outputs]` through `options.hidden`, with a linear output layer."""
    if not options.batch_norm:
        return Tower(inputs, options.hidden, outputs, options.dropout)
    layers: list[nn.Module] = []
    for width in options.hidden:
        layers.append(Hidden(inputs, width, options.dropout))
        inputs = width
    return nn.Sequential(*layers, Linear(inputs, outputs))


class Tower(nn.Sequential):
    """`[B, inputs] -> [B, outputs]`: linear, ReLU and dropout for each width, then linear."""

    fused = True  # in training it is one operation

    def __init__(self, inputs: int, widths: Sequence[int], outputs: int, dropout: float) -> None:
        layers: list[nn.Module] = []
        for width in widths:
            layers += [Linear(inputs, width), nn.ReLU(inplace=True), Dropout(dropout)]
            inputs = width
        super().__init__(*layers, Linear(inputs, outputs))
        self._kinds = [type(module) for module in self]

    def forward(self, x: Tensor) -> Tensor:
        """The last layer's output."""
        y: Tensor
        modules: list[Any] = list(self)
        plain = [type(module) for module in modules] == self._kinds  # none is somebody's own
        if not (self.training and self.fused and plain):
            y = super().forward(x)  # type: ignore[no-untyped-call]
            return y
        parameters = [p for layer in modules[::3] for p in (layer.weight, layer.bias)]
        y = tower(x, *parameters, [drop.mask() for drop in modules[2::3]])
        return y
