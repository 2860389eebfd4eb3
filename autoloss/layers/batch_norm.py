"""Batch norm whose second derivative is fast: see `autoloss.ops.batch_norm`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from autoloss.ops.batch_norm import batch_norm


class BatchNorm(nn.BatchNorm1d):
    """`nn.BatchNorm1d` for `[B, width]` with affine parameters: the same values and gradients.

    Of a stack all is `[S, ...]`, the running statistics too.
    """

    still = False  # whether passes in training leave the running statistics alone

    def forward(self, x: Tensor) -> Tensor:
        """Normalised by the batch in training mode, by the running statistics in evaluation."""
        if not self.training:
            return super().forward(x) if x.dim() == 2 else self._by_running(x)
        y: Tensor = batch_norm(x, *self.training_inputs())
        return y

    def _by_running(self, x: Tensor) -> Tensor:
        """Of a stack in evaluation; by the batch where no statistics are kept."""
        if self.running_mean is None or self.running_var is None:
            y: Tensor = batch_norm(x, self.weight, self.bias, None, None, self.momentum, self.eps)
            return y
        steep = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * steep
        return torch.addcmul(shift.unsqueeze(-2), x, steep.unsqueeze(-2))

    def training_inputs(self) -> tuple[Any, ...]:
        """Of `batch_norm`, those behind x; counts a batch of training."""
        assert self.momentum is not None  # an average over all batches is not computed
        if self.still:
            return self.weight, self.bias, None, None, self.momentum, self.eps
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        running = self.running_mean, self.running_var
        return self.weight, self.bias, *running, self.momentum, self.eps
