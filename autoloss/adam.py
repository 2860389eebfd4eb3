"""torch's own Adam (Kingma & Ba, ICLR 2015): the fused kernel, called as `torch.optim.Adam` does.

That class imports the compiler on first use, a second of every job, and sorts its tensors anew at
each step; the computation is the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def fused_step(
    values: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    steps: int,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """One step, in place; `steps` counts those before it."""
    kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_
    count = torch.full((), steps + 1.0, device=values[0].device)
    kernel(
        values,
        gradients,
        means,
        squares,
        [],
        [count] * len(values),
        lr=lr,
        beta1=betas[0],
        beta2=betas[1],
        weight_decay=weight_decay,
        eps=eps,
        amsgrad=False,
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
        self._moments: list[list[Tensor]] = []  # means and squares; from the first step on
        self.steps = 0

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter by its `.grad`."""
        ps: list[Tensor] = list(self.parameters)
        if not self._moments:
            self._moments = [[torch.zeros_like(p) for p in ps] for _ in range(2)]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in ps]
        fused_step(
            ps,
            gradients,
            self._moments[0],
            self._moments[1],
            self.steps,
            lr=self.lr,
            betas=self.betas,
            eps=self.eps,
            weight_decay=self.weight_decay,
            decoupled=self.decoupled,
        )
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """The moments of every parameter, and the steps."""
        return {"moments": self._moments, "steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._moments, self.steps = state["moments"], state["steps"]
