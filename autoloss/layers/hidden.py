"""A hidden layer of a tower: linear, batch norm, ReLU and dropout."""

from __future__ import annotations

from torch import Tensor, nn

from autoloss.layers.batch_norm import BatchNorm
from autoloss.layers.dropout import Dropout
from autoloss.layers.linear import Linear
from autoloss.ops.hidden import hidden


class Hidden(nn.Module):
    """`[B, inputs] -> [B, outputs]`: values and derivatives of its four modules, one by one.

    Args:
        track: keep running statistics, which evaluation normalises by; without them it is always
            by the batch at hand.
    """

    def __init__(self, inputs: int, outputs: int, dropout: float, *, track: bool = True) -> None:
        super().__init__()
        self.linear = Linear(inputs, outputs)
        self.norm = BatchNorm(outputs, track_running_stats=track)
        self.relu: nn.Module = nn.ReLU()
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The layer's output."""
        y: Tensor
        if not self.training or type(self.relu) is not nn.ReLU:  # somebody put another there
            y = self.dropout(self.relu(self.norm(self.linear(x))))
            return y
        linear, norm = self.linear, self.norm.training_inputs()
        y, _ = hidden(x, linear.weight, linear.bias, *norm, *self.dropout.mask())
        return y
