"""What weights may depend on: the examples of a batch, with what the model says of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from autoloss.errors import ConfigError


class Examples:
    """The examples of one pass, be they of training or of validation.

    Args:
        labels: `[B]`, class indices.
        logits: `[B]` (binary) or `[B, C]`. Gradients flow through them into the model: `detach()`
            what the inner step is to see as constant.
        ids: `[B, F]` of whole numbers, field-local.
        losses: labels, logits -> the candidates' values, `[B, n]`.

    What nobody asks for is not computed.
    """

    def __init__(
        self,
        labels: Tensor,
        logits: Tensor,
        ids: Tensor | None,
        losses: Callable[[Tensor, Tensor], Tensor],
    ) -> None:
        self.labels, self.logits, self._ids, self._losses = labels, logits, ids, losses

    @cached_property
    def losses(self) -> Tensor:
        """The candidates' values `[B, n]`: the very ones that the mixture is of, not detached."""
        return self._losses(self.labels, self.logits)

    @cached_property
    def ids(self) -> Tensor:
        """`int64[B, F]`, field-local, on the device of the logits.

        Raises:
            ConfigError: the training loop gave none.
        """
        if self._ids is None:
            mend = "give them: `method.loss(labels, logits, t, ids=batch.ids)`"
            raise ConfigError("ids", "the weights depend on them, and the loop has none", mend)
        return self._ids.to(self.logits.device, torch.int64)
