"""Dropout whose masks are told where to draw from: see `autoloss.ops.dropout`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from autoloss.errors import ConfigError
from autoloss.ops.dropout import dropout
from autoloss.seeds import Draw


class Dropout(nn.Module):
    """Zero each value with probability `rate`, scale the others by 1 / (1 - rate), in training.

    Its masks are those of the pass at hand, which `drawing` tells it: one for each time that the
    pass comes through it.
    """

    seeds: Iterator[int] | None = None

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate <= 0.99:
            raise ConfigError("dropout", f"is {rate}", "give a share of 0 to 0.99")
        self.rate = rate

    def mask(self) -> tuple[float, int]:
        """The rate, and the seed of the next mask in training."""
        if self.seeds is None and self.rate:
            raise RuntimeError(
                "dropout was not told which noise to draw: make the pass in training mode by a "
                "`Step`, or within `drawing(dropouts(model), Draw.of(t, seed, 'dropout'))`"
            )
        return self.rate, next(self.seeds) if self.seeds else 0

    def forward(self, x: Tensor) -> Tensor:
        """Any shape; unchanged in evaluation mode."""
        return dropout(x, *self.mask()) if self.training else x


def dropouts(module: nn.Module) -> list[Dropout]:
    """The layers in `module` that drop anything, in its own order.

    Raises:
        ConfigError: one is torch's own.
    """
    for name, layer in module.named_modules():
        if isinstance(layer, _DropoutNd) and layer.p:
            where, problem = f"{type(module).__name__}.{name}", "is torch's dropout, whose masks "
            problem += "depend on what was drawn before"
            raise ConfigError(where, problem, "use autoloss.layers.dropout.Dropout")
    return [layer for layer in module.modules() if isinstance(layer, Dropout) and layer.rate]


@contextmanager
def drawing(layers: Sequence[Dropout], draw: Draw) -> Iterator[None]:
    """Within, which is one pass, these have the masks of `draw`, each its own."""
    for k, layer in enumerate(layers, 1):
        vars(layer)["seeds"] = draw.seeds(k)  # a module's own way of setting takes 3 microseconds
    try:
        yield
    finally:
        for layer in layers:
            vars(layer).pop("seeds", None)
