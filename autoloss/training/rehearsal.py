"""Whether runs are in a stack what they are alone: two of them take some steps both ways first.

Code that was written for one run may mix runs, or take one's for all: in a pass, in a gradient, in
what a method does before or after a step, in what it keeps. The steps are made in double precision,
in which the order of sums shows in the last digits alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from autoloss.layers.stack import copy_into, part, tensors
from autoloss.methods.contract import Method
from autoloss.training.steps import Loop

HORIZON, KINDS = 500, 4  # steps that are looked through for kinds, and kinds that are rehearsed
# How far a tensor may be off: of what the steps have changed, and of its size.
OF_CHANGE, OF_SIZE = 1e-3, 1e-8


@contextmanager
def double_precision() -> Iterator[None]:
    """Models and methods are made in float64, which no kernel takes."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def rehearsed_steps(method: Method) -> list[int]:
    """The first two steps, and the first of each other kind with the one after it."""
    first: dict[Any, int] = {}
    for t in range(HORIZON):
        if len(first) < KINDS:
            first.setdefault(method.kind(t), t)
    return sorted({t + k for t in (0, *first.values()) for k in (0, 1)})


def take(loop: Loop, steps: Sequence[int]) -> list[Tensor]:
    """The losses of these steps, scalar or `[S]`."""
    losses = [loop.take(loop.step(t))[0] for t in steps]
    loop.optimizer.settle()
    return losses


def require_alike(
    whole: Loop,
    together: Sequence[Tensor],
    alone: Sequence[Loop],
    losses: Sequence[Sequence[Tensor]],
    before: Sequence[Any],
) -> None:
    """Compare what the steps of a stack have come to with what they have come to alone.

    Args:
        together: the stack's losses of each step, `[S]`; `losses` are those of each run alone.
        before: the stack's runs, which are as they were before its first step.

    Raises:
        ValueError: a run is another one.
    """
    for s, (run, fresh) in enumerate(zip(alone, before, strict=True)):
        for k, (one, other) in enumerate(zip(together, losses[s], strict=True)):
            _require_close(f"the loss of step {k}", one[s], other, torch.zeros_like(other))
        for here, there, was in (
            (whole.model, run.model, fresh.model),
            (whole.method, run.method, fresh.method),
        ):
            start, found = tensors(was), part(here, s, buffers=True)
            for name, value in tensors(there).items():
                if name in found:
                    at = start[name] if start[name].shape == value.shape else 0 * value
                    _require_close(name, found[name], value, at)
        # What is observed of a run is its own method's, with what the stack's has kept.
        copy_into(fresh.method, part(whole.method, s, buffers=True))
        batch, model = run.batch("train", 0), run.model
        with torch.no_grad():
            logits = model.eval()(batch.ids)
            seen, right = (
                method.eval().weigh(method.examples(*batch, logits), 0)[1]
                for method in (fresh.method, run.method)
            )
        _require_close("the weights that are observed", seen, right, 0 * right)


def _require_close(what: str, found: Tensor, right: Tensor, before: Tensor) -> None:
    if found.shape != right.shape:
        raise ValueError(f"{what}: {list(found.shape)}, where alone it is {list(right.shape)}")
    found, right, before = (x.detach().double() for x in (found, right, before))
    limit = OF_CHANGE * (right - before).norm() + OF_SIZE * (1 + right.norm())
    if torch.isfinite(right).all() and not (found - right).norm() <= limit:
        raise ValueError(f"{what} has other numbers")
