"""What a method's weights are held to: their shape, and what its `Info` says of them.

Nothing here changes a run: each refuses or does nothing. So a statement that only calls one of
these is no part of a run's identity (`_strip` in autoloss/study/fingerprint.py).
"""

from __future__ import annotations

import copy
import inspect
from typing import Any

import torch
from torch import Tensor

from autoloss.errors import MethodError

ROUNDING = 1e-4  # of a sum of weights, in the precision of a run
ROUNDING_OF_MEANS = 1e-2  # of one of means over an epoch, which are added up step by step


def require_shape(method: Any, weights: Any, losses: Tensor) -> None:
    """Floats `[n]` or `[B, n]` for losses `[B, n]`, over which torch would spread others.

    Raises:
        MethodError: the weights are not such.
    """
    _require_shape(method, weights, *losses.shape)


def _require_shape(method: Any, weights: Any, examples: int, candidates: int) -> None:
    shapes = [candidates], [examples, candidates]
    given = f"a {type(weights).__name__}"
    if isinstance(weights, Tensor):
        given = f"of shape {list(weights.shape)}"
        if list(weights.shape) in shapes:
            if weights.is_floating_point():
                return
            given = f"of {weights.dtype}"
    problem = f"gives weights {given}, expected {shapes[0]} or {shapes[1]}, of floats"
    mend = "give a tensor with one weight for each candidate, for all examples or for each"
    raise MethodError(_file(method), problem, mend)


def require_promised(method: Any, weights: Tensor, step: Any) -> None:
    """The weights of an inner step: as declared; in a run's first also their values.

    That step asks for them twice more, of a copy of the method, where one can be made.

    Raises:
        MethodError: they are not as declared, not finite in the first step, or other ones when
            asked for again.
    """
    _require_kind(method, weights, step.batch.labels)
    if step.t == 0:
        if not torch.isfinite(weights).all():
            problem = "gives weights that are not finite in the first step"
            raise MethodError(_file(method), problem, "look for a division by 0 or a log of 0")
        _require_values(method, weights, "in the first step")
        _require_repeatable(method, step)


def require_observed(method: Any, weights: Tensor, labels: Any) -> None:
    """The weights of the validation split after an epoch, as those of a run's first step.

    Raises:
        MethodError: they are not as declared. Of those that are not finite the loss says it.
    """
    _require_kind(method, weights, labels)
    if torch.isfinite(weights).all():
        _require_values(method, weights, "on the validation split after an epoch")


def require_means(method: Any, sums: Tensor, steps: int) -> None:
    """The mean weights of an epoch, `sums` `[n]` over its steps.

    Raises:
        MethodError: they cannot be means of such as were declared.
    """
    means = sums / steps
    if torch.isfinite(means).all():
        _require_simplex(method, means, "in the mean over an epoch", ROUNDING_OF_MEANS)


def _require_kind(method: Any, weights: Tensor, labels: Any) -> None:
    _require_shape(method, weights, len(labels), len(method.candidates))
    declared = method.info.weights
    if (weights.dim() == 2) == (declared == "per example"):
        return
    problem = f"declares weights='{declared}', and gives weights of shape {list(weights.shape)}"
    mend = "say 'per example' in its Info, or give weights [n]"
    if declared == "per example":
        mend = "say 'global' in its Info, or give weights [B, n], one row for each example"
    raise MethodError(_file(method), problem, mend)


def _require_values(method: Any, weights: Tensor, when: str) -> None:
    _require_simplex(method, weights, when, ROUNDING)
    weighed = int((weights != 0).sum())
    if method.info.weights == "one candidate" and weighed > 1:
        problem = f"declares weights='one candidate', and gives weight to {weighed} {when}"
        raise MethodError(_file(method), problem, "say 'global' in its Info")


def _require_simplex(method: Any, weights: Tensor, when: str, rounding: float) -> None:
    rows = weights.detach().reshape(-1, weights.shape[-1])
    wrong = (rows < 0).any(dim=1) | ((rows.sum(dim=1) - 1).abs() > rounding)
    if not method.info.simplex or not wrong.any():
        return
    row = rows[wrong][0]
    given = ", ".join(f"{weight:.4g}" for weight in row.tolist())
    problem = (
        "declares simplex=True, weights of at least 0 that sum to 1, and gives "
        f"[{given}], sum {float(row.sum()):.4g}, {when}"
    )
    mend = "normalise them, as a softmax does, or say simplex=False in its Info"
    raise MethodError(_file(method), problem, mend)


def _require_repeatable(method: Any, step: Any) -> None:
    """The same step and examples give the same weights, bit by bit, whoever asks and how often."""
    from autoloss.training.generators import Generators

    if step._logits is None:  # a descent of its own has made no pass, and asking makes none
        return
    try:
        asked = copy.deepcopy(method)
    except (TypeError, ValueError, RuntimeError, NotImplementedError):
        return
    generators = Generators(step.batch.labels.device)
    examples = asked.examples(*step.batch, step.forward())
    first, again = (asked.weigh(examples, step.t)[1] for _ in range(2))
    if torch.equal(first, again) or generators.moved:  # which the loop says, with the line
        return
    raise MethodError(
        _file(method),
        "gives other weights when it is asked again, for the same examples and step: it draws "
        "from a generator of its own, or counts how often it is asked",
        "draw by `uniform(draw.seed(0), like)` or `gumbel` of autoloss.ops.random, and have what "
        "changes over steps change in before_step or after_step",
    )


def _file(method: Any) -> str:
    return inspect.getfile(type(method))
