"""The one form of an operation, and which gradients somebody asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from autoloss.ops.kernels.runtime import fits

Gradients = Sequence[Tensor | None]
Wants = Callable[[int], bool]
_asked: set[int] | None = None


def wanted(node: Any, k: int, others: int = 0) -> bool:
    """In the backward pass of a Function: whether anybody asked for the gradient of its input `k`.

    `others` of the inputs before it are no tensors.
    torch's own operations ask this; `needs_input_grad` only says that it could be had. A
    hypergradient goes back along one path of the graph, so most of what it could have is not asked
    for.
    """
    if not node.needs_input_grad[k]:
        return False
    source = node.next_functions[k - others][0]
    leaf = getattr(source, "variable", None)
    if leaf is not None:  # of a leaf the engine does not say
        return _asked is None or id(leaf) in _asked
    return torch._C._will_engine_execute_node(source)


@contextmanager
def asking_for(leaves: Iterable[Tensor]) -> Iterator[None]:
    """Within it no pass back wants the gradients of other leaves (see `wanted`)."""
    global _asked
    before, _asked = _asked, {id(leaf) for leaf in leaves}
    try:
        yield
    finally:
        _asked = before


def of_one_run(k: int = 0, dimensions: int = 2) -> Callable[..., bool]:
    """Float32 on a CPU, and no stack of runs: input `k` has no dimension in front of its own."""

    def fit(*inputs: Any) -> bool:
        return inputs[k].dim() == dimensions and fits(inputs[0])

    return fit


ONE_RUN = of_one_run()


@dataclass
class Operation:
    """A function of tensors, then constants, with derivatives of its own.

    In a stack of runs every tensor has one dimension more, in front; but tables lie one under the
    other. It is computed by the reference, which names dimensions from the end, unless `fits` takes
    it too.

    Args:
        name: what the autograd graph calls it.
        reference: the definition, by torch's operations: run where `fits` says no, and
            differentiated in the place of a `second` that is not there.
        forward: gives the output or outputs, tensors to keep, constants to keep.
        backward: `(wants, *gradients, *tensors kept, *constants kept)` -> gradients of the inputs.
            `wants(k)` says whether somebody asked for that of input `k`.
        second: `(wants, along, results, *as backward's)` -> gradients of `backward`'s tensors.
            `along` says what the loss changes by with each of `backward`'s results; of several,
            None for those that it does not depend on.
        recorded: `backward` where it will be differentiated; may give more than gradients, for
            `second`.
        smooth: autograd can differentiate `backward` itself.
        sparse: `backward` is given None, not zeros, for the gradient of an output without one.
        reuses: `second` reads the `results` of `recorded`; else they are not kept, and ().
        fits: whether `forward` takes the inputs; a batch of one run's, unless said otherwise.

    What is not wanted is None in a result, and may be left out at its end.
    """

    name: str
    reference: Callable[..., Any]
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    second: Callable[..., Any] | None = None
    recorded: Callable[..., Any] | None = None
    smooth: bool = False
    sparse: bool = False
    reuses: bool = False
    fits: Callable[..., bool] = ONE_RUN

    def __post_init__(self) -> None:
        self.recorded = self.recorded or self.backward
        self._function: Any = type(self.name, (_Function,), {"operation": self})
        self._slopes: Any = type(f"{self.name}Slopes", (_Slopes,), {"operation": self})

    def __call__(self, *inputs: Any) -> Any:
        """The output or outputs, with all derivatives."""
        return self._function.apply(*inputs) if self.fits(*inputs) else self.reference(*inputs)

    def slopes(self, wants: Wants, tensors: Sequence[Any], constants: Sequence[Any]) -> Any:
        """`backward`'s results, with derivatives of their own where these are recorded."""
        if torch.is_grad_enabled() and not self.smooth:
            return self._slopes.apply(*tensors, wants, constants)
        return self.backward(wants, *tensors, *constants)


# Both in the form `forward(ctx, ...)`: torch inspects the signature of the newer at every call.
class _Function(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Any:
        operation = ctx._forward_cls.operation
        ctx.set_materialize_grads(not operation.sparse)
        outputs, tensors, ctx.constants = operation.forward(*inputs)
        ctx.save_for_backward(*tensors)
        ctx.inputs = None if operation.second or operation.smooth else inputs
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Gradients:
        operation, n = ctx._forward_cls.operation, len(ctx.needs_input_grad)
        if ctx.inputs is not None and torch.is_grad_enabled():
            slopes = _by_reference(operation, ctx.inputs, gradients)
        else:
            tensors = *gradients, *ctx.saved_tensors
            slopes = operation.slopes(partial(wanted, ctx), tensors, ctx.constants)[:n]
        return *slopes, *(None,) * (n - len(slopes))


class _Slopes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *given: Any) -> Any:
        *tensors, wants, ctx.constants = given  # the tensors first: see `wanted`
        operation = ctx._forward_cls.operation
        results = operation.recorded(wants, *tensors, *ctx.constants)
        ctx.set_materialize_grads(len(results) == 1)
        ctx.save_for_backward(*tensors, *(results if operation.reuses else ()))
        return results

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *along: Tensor | None) -> Gradients:
        n, saved = len(ctx.needs_input_grad) - 2, ctx.saved_tensors
        tensors, results = saved[:n], saved[n:]

        def wants(k: int) -> bool:
            return wanted(ctx, k, sum(tensor is None for tensor in tensors[:k]))

        operation = ctx._forward_cls.operation
        slopes = operation.second(wants, along, results, *tensors, *ctx.constants)
        slopes = [s if x is not None else None for s, x in zip(slopes, tensors, strict=False)]
        return *slopes, *(None,) * (n + 2 - len(slopes))


def _by_reference(
    operation: Operation, inputs: Sequence[Any], gradients: Sequence[Tensor | None]
) -> Gradients:
    """Gradients of an operation of one output, as functions, by its reference."""
    asked = [k for k, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    again = list(inputs)
    for k in asked:
        again[k] = inputs[k].view_as(inputs[k])  # hooks on the tensor see no gradient twice
    output, chosen = operation.reference(*again), [again[k] for k in asked]
    slopes = torch.autograd.grad(output, chosen, gradients, create_graph=True)
    by_input = dict(zip(asked, slopes, strict=True))
    return tuple(by_input.get(k) for k in range(len(inputs)))
