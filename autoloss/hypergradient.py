"""The outer gradient dL_val(W - xi dL_train/dW, V)/dV (paper Eq. 12-13), three ways to get it.

    direct             xi = 0: dL_val(W, V)/dV, the first-order choice of §2.5
    exact              through the look-ahead step, by differentiating it
    finite_difference  through the look-ahead step, by DARTS' central difference of gradients

`exact` asks autograd for dV only, so it prunes the second pass to the tangent path from the
weighting to the output: nothing but the small weighting is really differentiated twice.
`finite_difference` is here because DARTS uses it: it is wrong where examples cross a kink of the
weighting within its step, or where y_hat is detached (docs/deviations.md has the figures).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from autoloss.asked import asking_for

Params = dict[str, Tensor]
Gradients = tuple[Tensor, ...]


@dataclass
class OuterProblem:
    """One outer step, as functions of the model's parameters.

    Both losses must give the same value when called again with the same parameters: what they
    draw (dropout, Gumbel noise) is fixed per call. `params` are leaves that require gradients.
    An estimator that looks ahead leaves dL_train/dW at `params` in `descent`.
    """

    train_loss: Callable[[Params], Tensor]
    val_loss: Callable[[Params], Tensor]
    params: Params
    weighting: Sequence[Tensor]
    descent: Params = field(default_factory=dict, init=False)


def direct(problem: OuterProblem, xi: float) -> Gradients:
    """dL_val(W, V)/dV at the current W; `xi` is not used."""
    fixed = {name: value.detach() for name, value in problem.params.items()}
    return _with_respect_to_weighting(problem.val_loss(fixed), problem)


def exact(problem: OuterProblem, xi: float) -> Gradients:
    """dL_val(W', V)/dV with W' = W - xi dL_train(W, V)/dW kept as a function of V."""
    gradients = _model_gradients(problem, create_graph=True)
    # Not `sub`: its pass back negates v before it scales it.
    ahead = {k: value.add(gradients[k], alpha=-xi) for k, value in problem.params.items()}
    return _with_respect_to_weighting(problem.val_loss(ahead), problem)


def finite_difference(problem: OuterProblem, xi: float) -> Gradients:
    """DARTS (Liu et al. 2019, Eq. 8): direct at W' minus xi (dV at W+ - dV at W-) / 2 eps.

    W+- = W +- eps dL_val/dW', eps = 0.01 / ||dL_val/dW'||.
    """
    gradients = _model_gradients(problem, create_graph=False)
    ahead = {
        name: (value.detach() - xi * gradients[name]).requires_grad_()
        for name, value in problem.params.items()
    }
    names, n = list(ahead), len(ahead)
    both = torch.autograd.grad(
        problem.val_loss(ahead),
        [*ahead.values(), *problem.weighting],
        allow_unused=True,
        materialize_grads=True,
    )
    toward, at_ahead = dict(zip(names, both[:n], strict=True)), both[n:]
    norm = torch.stack([g.norm() for g in toward.values()]).norm()
    eps = 0.01 / norm.clamp_min(torch.finfo(norm.dtype).tiny)

    def moved(sign: int) -> Gradients:
        point = {k: v.detach() + sign * eps * toward[k] for k, v in problem.params.items()}
        return _with_respect_to_weighting(problem.train_loss(point), problem)

    return tuple(
        value - xi * (plus - minus) / (2 * eps)
        for value, plus, minus in zip(at_ahead, moved(+1), moved(-1), strict=True)
    )


ESTIMATORS: dict[str, Callable[[OuterProblem, float], Gradients]] = {
    "direct": direct,
    "exact": exact,
    "finite_difference": finite_difference,
}


def _model_gradients(problem: OuterProblem, *, create_graph: bool) -> Params:
    gradients = torch.autograd.grad(
        problem.train_loss(problem.params),
        list(problem.params.values()),
        create_graph=create_graph,
        retain_graph=True,  # it may be the coming inner step's own
        allow_unused=True,
        materialize_grads=True,
    )
    found = dict(zip(problem.params, gradients, strict=True))
    problem.descent = {name: gradient.detach() for name, gradient in found.items()}
    return found


def _with_respect_to_weighting(loss: Tensor, problem: OuterProblem) -> Gradients:
    with asking_for(problem.weighting):
        return torch.autograd.grad(
            loss, list(problem.weighting), allow_unused=True, materialize_grads=True
        )
