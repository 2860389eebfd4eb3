"""torch's own Adam (Kingma & Ba, ICLR 2015) through its functional form.

`torch.optim.Adam` imports the compiler on first use, a second of every job; the computation is the
same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.adam import adam


def fused_step(
    values: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    steps: list[Tensor],
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """One step, in place, by torch's fused kernel; `steps` counts those before it."""
    adam(
        values,
        gradients,
        means,
        squares,
        [],
        steps,
        fused=True,
        decoupled_weight_decay=decoupled,
        amsgrad=False,
        beta1=betas[0],
        beta2=betas[1],
        lr=lr,
        weight_decay=weight_decay,
        eps=eps,
        maximize=False,
    )


class Adam:
    """One learning rate for all `parameters`; a parameter without a gradient has a zero one.

    Args:
        weight_decay: L2, added to the gradient; `decoupled`: taken off the parameter (AdamW).
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled: bool = False,
    ) -> None:
        self.parameters = list(parameters)
        self.lr, self.betas, self.eps = lr, betas, eps
        self.weight_decay, self.decoupled = weight_decay, decoupled
        self._state: list[list[Tensor]] = []  # means, squares, steps; from the first step on

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter by its `.grad`."""
        ps: list[Tensor] = list(self.parameters)
        if not self._state:
            zeros = [[torch.zeros_like(p) for p in ps] for _ in range(2)]
            self._state = [*zeros, [torch.zeros((), device=p.device) for p in ps]]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in ps]
        fused_step(
            ps,
            gradients,
            *self._state,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            decoupled=self.decoupled,
        )

    def state_dict(self) -> dict[str, Any]:
        """The moments and the steps of every parameter."""
        return {"state": self._state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._state = state["state"]
