"""Batch norm whose second derivative is fast: see `autoloss.ops.batch_norm`."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from autoloss.ops.batch_norm import batch_norm


class BatchNorm(nn.BatchNorm1d):
    """`nn.BatchNorm1d` for `[B, width]` with affine parameters: the same values and gradients."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalised by the batch in training mode, by the running statistics in evaluation."""
        if not self.training:
            return super().forward(x)
        y: Tensor = batch_norm(x, *self.training_inputs())
        return y

    def training_inputs(self) -> tuple[Any, ...]:
        """Of `batch_norm`, those behind x; counts a batch of training."""
        assert self.momentum is not None  # an average over all batches is not computed
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        running = self.running_mean, self.running_var
        return self.weight, self.bias, *running, self.momentum, self.eps
