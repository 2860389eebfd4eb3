"""The cost of training that depends on no hardware: examples through the model, both ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class Passes:
    """Counts a model's passes from now on, whoever makes them, by hooks on it.

    `forward` counts examples that go through it; `backward` examples whose logits receive a
    gradient, and once more where that gradient is itself differentiated (a hypergradient's tangent
    pass goes back along it). Of a stack the examples of each of its runs are counted.
    """

    def __init__(self, model: nn.Module) -> None:
        self.forward = self.backward = 0
        model.register_forward_hook(self._after_forward)

    @property
    def counted(self) -> tuple[int, int]:
        """Since the last `take`."""
        return self.forward, self.backward

    def add(self, forward: int, backward: int) -> None:
        """Passes that no hook sees: what was recorded is done again."""
        self.forward += forward
        self.backward += backward

    def take(self) -> tuple[int, int]:
        """What was counted since the last call."""
        counted = self.counted
        self.forward = self.backward = 0
        return counted

    def _after_forward(self, model: nn.Module, inputs: tuple[Any, ...], logits: Tensor) -> None:
        examples = inputs[0].shape[-2]  # of ids `[B, F]`, or a stack's
        self.forward += examples
        if logits.requires_grad:
            _watch(logits, self._counting(examples))

    def _counting(self, examples: int) -> Callable[[Tensor], None]:
        def count(gradient: Tensor) -> None:
            self.backward += examples
            if gradient.requires_grad:
                _watch(gradient, self._counting(examples))

        return count


def _watch(value: Tensor, hook: Callable[[Tensor], None]) -> None:
    value.register_hook(hook)  # type: ignore[no-untyped-call]
