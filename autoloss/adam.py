"""torch's own Adam (Kingma & Ba, ICLR 2015) through its functional form.

`torch.optim.Adam` imports the compiler on first use, a second of every job; the computation is the
same.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim.adam import adam


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
        self._state: list[list[torch.Tensor]] = []  # means, squares, steps; from the first step on

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter by its `.grad`."""
        ps: list[torch.Tensor] = list(self.parameters)
        if not self._state:
            zeros = [[torch.zeros_like(p) for p in ps] for _ in range(2)]
            self._state = [*zeros, [torch.zeros((), device=p.device) for p in ps]]
        means, squares, steps = self._state
        adam(
            ps,
            [torch.zeros_like(p) if p.grad is None else p.grad for p in ps],
            means,
            squares,
            [],
            steps,
            fused=True,
            decoupled_weight_decay=self.decoupled,
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=self.lr,
            weight_decay=self.weight_decay,
            eps=self.eps,
            maximize=False,
        )

    def state_dict(self) -> dict[str, Any]:
        """The moments and the steps of every parameter."""
        return {"state": self._state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._state = state["state"]
