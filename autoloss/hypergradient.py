"""The outer gradient dL_val(W - xi dL_train/dW, V)/dV (paper Eq. 12-13), three ways to get it.

    direct             xi = 0: dL_val(W, V)/dV, the first-order choice of §2.5
    exact              through the look-ahead step, by differentiating it
    finite_difference  through the look-ahead step, by DARTS' central difference of gradients

The look-ahead step is one along the gradient, W' = W - xi dL_train/dW, or another `Move`, such as
the optimizer's own (autoloss.training.optimizer).

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

from autoloss.ops.operation import asking_for

Params = dict[str, Tensor]
Gradients = tuple[Tensor, ...]
Move = Callable[[Params, Params, float], Params]  # W, dL_train/dW and xi -> W'


def along_gradient(params: Params, gradients: Params, xi: float) -> Params:
    """W' = W - xi dL_train/dW (Eq. 13)."""
    # Not `sub`: its pass back negates v before it scales it.
    return {name: value.add(gradients[name], alpha=-xi) for name, value in params.items()}


@dataclass
class OuterProblem:
    """One outer step, as functions of the model's parameters.

    Both losses must give the same value when called again with the same parameters: what they
    draw (dropout, Gumbel noise) is fixed per call. `params` are leaves that require gradients;
    `move` is the look-ahead step. An estimator that looks ahead leaves dL_train/dW at `params` in
    `descent`.

    Of a stack of runs both losses are `[S]`, and parameters `[S, ...]`; but tables lie one under
    the other, and for these `owners` names the run of each row, `[R]`.
    """

    train_loss: Callable[[Params], Tensor]
    val_loss: Callable[[Params], Tensor]
    params: Params
    weighting: Sequence[Tensor]
    move: Move = along_gradient
    owners: Callable[[], Params] = dict
    descent: Params = field(default_factory=dict, init=False)


def total(loss: Tensor) -> Tensor:
    """What is differentiated: of a stack the sum, in which each run's gradient is its own."""
    return loss.sum() if loss.dim() else loss


def direct(problem: OuterProblem, xi: float) -> Gradients:
    """dL_val(W, V)/dV at the current W; `xi` is not used."""
    fixed = {name: value.detach() for name, value in problem.params.items()}
    return _with_respect_to_weighting(problem.val_loss(fixed), problem)


def exact(problem: OuterProblem, xi: float) -> Gradients:
    """dL_val(W', V)/dV with W' after the look-ahead step kept as a function of V."""
    gradients = _model_gradients(problem, create_graph=True)
    ahead = problem.move(problem.params, gradients, xi)
    return _with_respect_to_weighting(problem.val_loss(ahead), problem)


def finite_difference(problem: OuterProblem, xi: float) -> Gradients:
    """Direct at W' plus (dV at W+ - dV at W-) / 2 eps, the training loss' at W+- = W +- eps u.

    u = dL_val(W')/dg, g = dL_train/dW, eps = 0.01 / ||u||. With W' = W - xi g, u = -xi dL_val/dW',
    and this is DARTS (Liu et al. 2019, Eq. 8).
    """
    current = {name: value.detach() for name, value in problem.params.items()}
    gradients = _model_gradients(problem, create_graph=False)
    gradients = {name: gradient.requires_grad_() for name, gradient in gradients.items()}
    loss = problem.val_loss(problem.move(current, gradients, xi))
    both = torch.autograd.grad(
        total(loss),
        [*gradients.values(), *problem.weighting],
        allow_unused=True,
        materialize_grads=True,
    )
    n = len(gradients)
    toward, at_ahead = dict(zip(gradients, both[:n], strict=True)), both[n:]
    owners = problem.owners() if loss.dim() else {}
    norm = _norm(toward, owners, loss)
    eps = 0.01 / norm.clamp_min(torch.finfo(norm.dtype).tiny)

    def moved(sign: int) -> Gradients:
        point = {
            name: value + sign * _spread(eps, value, owners.get(name)) * toward[name]
            for name, value in current.items()
        }
        return _with_respect_to_weighting(problem.train_loss(point), problem)

    return tuple(
        value + (plus - minus) / (2 * _spread(eps, value))
        for value, plus, minus in zip(at_ahead, moved(+1), moved(-1), strict=True)
    )


def _norm(vectors: Params, owners: Params, loss: Tensor) -> Tensor:
    """Of all together, shaped as the loss: of a stack each run's own."""
    if not loss.dim():
        norm: Tensor = torch.stack([u.norm() for u in vectors.values()]).norm()
        return norm
    squares = torch.zeros_like(loss)
    for name, u in vectors.items():
        own = u.square().reshape(len(u), -1).sum(dim=1)
        squares = squares.index_add(0, owners[name], own) if name in owners else squares + own
    return squares.sqrt()


def _spread(each: Tensor, value: Tensor, owners: Tensor | None = None) -> Tensor:
    """A number, of a stack `[S]`, as a factor of `value`."""
    if not each.dim():
        return each
    each = each if owners is None else each.index_select(0, owners)
    return each.view(-1, *[1] * (value.dim() - 1))


ESTIMATORS: dict[str, Callable[[OuterProblem, float], Gradients]] = {
    "direct": direct,
    "exact": exact,
    "finite_difference": finite_difference,
}


def _model_gradients(problem: OuterProblem, *, create_graph: bool) -> Params:
    gradients = torch.autograd.grad(
        total(problem.train_loss(problem.params)),
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
            total(loss), list(problem.weighting), allow_unused=True, materialize_grads=True
        )
