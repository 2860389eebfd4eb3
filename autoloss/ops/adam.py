"""torch's own Adam (Kingma & Ba, ICLR 2015): the fused kernel, called as `torch.optim.Adam` does.

That class imports the compiler on first use, a second of every job, and sorts its tensors anew at
each step; the computation is the same.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

# Steps done: a number, or of a stack a tensor on its device, which its steps move on.
Steps = int | Tensor


class AdamOptions(NamedTuple):
    """`weight_decay` is L2, added to the gradient; `decoupled`: taken off the parameter (AdamW)."""

    lr: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = False


def fused_step(
    values: list[Tensor],
    gradients: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    steps: Steps,
    options: AdamOptions,
) -> None:
    """One step, in place; `steps` counts those before it."""
    lr, (beta1, beta2), eps, weight_decay, decoupled = options
    kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_
    if isinstance(steps, Tensor):
        count = (steps + 1).float()
    else:
        count = torch.full((), steps + 1.0, device=values[0].device)
    counts = [count] * len(values)
    kernel(
        values,
        # On a CPU it takes any layout for that of the values, and says nothing.
        [gradient.contiguous() for gradient in gradients],
        means,
        squares,
        [],
        counts,
        lr=lr,
        beta1=beta1,
        beta2=beta2,
        weight_decay=weight_decay,
        eps=eps,
        amsgrad=False,
        maximize=False,
    )


def stepped(
    value: Tensor,
    gradient: Tensor,
    mean: Tensor,
    square: Tensor,
    steps: Steps,
    options: AdamOptions,
) -> Tensor:
    """What `fused_step` makes of `value`, for autograd a function of `gradient`; nothing is moved.

    The gradient enters the new mean and the new square; those before it are constants.
    """
    lr, (beta1, beta2), eps, weight_decay, decoupled = options
    if decoupled:
        value = value * (1 - lr * weight_decay)
    elif weight_decay:
        gradient = gradient + weight_decay * value
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient.square()
    # Of zero a root has no slope: 0 times infinity would be what autograd makes of a zero gradient.
    root = square.clamp_min(torch.finfo(square.dtype).tiny).sqrt()
    done = steps.double() + 1 if isinstance(steps, Tensor) else steps + 1  # of integers: in float32
    step, left = lr / (1 - beta1**done), 1 - beta2**done
    scale = left.sqrt() if isinstance(left, Tensor) else math.sqrt(left)
    return value - step * mean / (root / scale + eps)


def resumed(steps: Steps, done: int) -> Steps:
    """`steps` where they are, after `done`."""
    return steps.fill_(done) if isinstance(steps, Tensor) else done


class Adam:
    """One learning rate for all `parameters`; a parameter without a gradient has a zero one."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, **options: Any) -> None:
        self.parameters, self.options = list(parameters), AdamOptions(lr, **options)
        self._moments: list[list[Tensor]] = []  # means and squares; from the first step on
        self.steps: Steps = 0

    @property
    def lr(self) -> float:
        """The learning rate, the same in all steps."""
        return self.options.lr

    def count_on(self, device: torch.device) -> None:
        """Count the steps there from now on."""
        self.steps = torch.tensor(float(self.steps), dtype=torch.float64, device=device)

    @property
    def moments(self) -> list[list[Tensor]]:
        """The means and the squares of all parameters; zeros before the first step."""
        if not self._moments:
            self._moments = [[torch.zeros_like(p) for p in self.parameters] for _ in range(2)]
        return self._moments

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter by its `.grad`."""
        ps: list[Tensor] = list(self.parameters)
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in ps]
        means, squares = self.moments
        fused_step(ps, gradients, means, squares, self.steps, self.options)
        self.steps += 1

    def state_dict(self) -> dict[str, Any]:
        """The moments of every parameter, and the steps."""
        return {"moments": self._moments, "steps": int(self.steps)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._moments = state["moments"]
        self.steps = resumed(self.steps, state["steps"])
