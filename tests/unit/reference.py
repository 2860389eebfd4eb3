"""The outer gradient written a second time, with nothing of the library's engine.

Dense tables, no FunctionalModel, no autoloss.hypergradient, no Method.loss: the mixture, its noise
and its seeds are spelt out here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.functional import jvp
from torch.func import functional_call
from torch.nn import functional as F

from autoloss.data.load.batches import Batch
from autoloss.layers.dropout import drawing, dropouts
from autoloss.methods.contract import Step
from autoloss.methods.learned import Learned
from autoloss.seeds import Draw
from tests.unit.noise import gumbel, seed_at

Params = dict[str, Tensor]


@dataclass(frozen=True)
class Reference:
    """One outer step of `method`, as functions of all the model's parameters."""

    method: Learned
    step: Step

    @property
    def params(self) -> Params:
        """W: fresh leaves, whole tables."""
        named = self.step.model.named_parameters()
        return {name: value.detach().clone().requires_grad_() for name, value in named}

    @property
    def validation(self) -> Batch:
        """The validation batch of the step: the first after `every` steps."""
        return self.step.validation(self.step.t // self.method.options["every"] - 1)

    def logits(self, params: Params, ids: Tensor, role: str = "inner") -> Tensor:
        """The model at `params`, with copies of its buffers."""
        model = self.step.model
        buffers = {k: v.clone() for k, v in model.named_buffers()}
        draw = Draw.of(self.step.t, self.step.seed, "dropout", role)
        with drawing(dropouts(model), draw):
            return functional_call(model, {**params, **buffers}, (ids,))

    def mixture(self, labels: Tensor, logits: Tensor, role: str, seen: Tensor | None) -> Tensor:
        """sum_i p_i l_i (Eq. 11), mean over the batch; the weights look at `seen`, or at logits."""
        method, t = self.method, self.step.t
        with drawing(dropouts(method.weighting), Draw.of(t, method.seed, "noise", role)):
            scores = method.weighting(labels, logits if seen is None else seen)
        if method.info.name != "autoloss":
            weights = scores.softmax(dim=-1)
        else:
            seed = seed_at(0, t, method.seed, "noise", role)
            noise = torch.from_numpy(gumbel(seed, tuple(scores.shape)))
            tau = max(0.01, 1 - 0.91685 * t / method.steps_per_epoch)
            weights = ((F.log_softmax(scores, dim=-1) + noise) / tau).softmax(dim=-1)
        return (weights * method.candidates(labels, logits)).sum(dim=-1).mean()

    def train(self, params: Params) -> Tensor:
        """L_train(W, V)."""
        logits = self.logits(params, self.step.batch.ids)
        return self.mixture(self.step.batch.labels, logits, "inner", None)

    def val_logits(self, params: Params) -> Tensor:
        """The model's output on the validation batch."""
        return self.logits(params, self.validation.ids, "outer")

    def val(self, params: Params, seen: Tensor | None = None) -> Tensor:
        """L_val(W, V) on the validation batch; the weights look at `seen`, if given."""
        logits, labels = self.val_logits(params), self.validation.labels
        if self.method.options["criterion"] == "mixture":
            return self.mixture(labels, logits, "outer", seen)
        if logits.dim() == 1:
            return F.binary_cross_entropy_with_logits(logits, labels.double())
        return F.cross_entropy(logits, labels)

    def ahead(self, xi: float, create_graph: bool = False) -> Params:
        """W' after the look-ahead step; constants unless `create_graph`."""
        params = self.params
        gradients = torch.autograd.grad(
            self.train(params), list(params.values()), create_graph=create_graph
        )
        pairs = zip(params.items(), gradients, strict=True)
        ahead = {name: self.moved(name, w, g, xi) for (name, w), g in pairs}
        return ahead if create_graph else {name: w.detach() for name, w in ahead.items()}

    def moved(self, name: str, w: Tensor, g: Tensor, xi: float) -> Tensor:
        """W - xi dL_train/dW (Eq. 13), of the parameter `name`."""
        return w - xi * g

    def of_weighting(self, loss: Tensor) -> Tensor:
        """dloss/dV as one vector; zeros where it does not depend on V."""
        variables = list(self.method.weighting.parameters())
        if not loss.requires_grad:
            return torch.cat([torch.zeros_like(v).flatten() for v in variables])
        gradients = torch.autograd.grad(loss, variables, allow_unused=True, materialize_grads=True)
        return torch.cat([g.flatten() for g in gradients])

    def direct_term(self, xi: float) -> Tensor:
        """dL_val/dV at W', W' held constant."""
        return self.of_weighting(self.val(self.ahead(xi)))

    def double_backward(self, xi: float) -> Tensor:
        """dL_val(W'(V), V)/dV by differentiating everything."""
        return self.of_weighting(self.val(self.ahead(xi, create_graph=True)))

    def identity(self, xi: float) -> Tensor:
        """The same by a Jacobian-vector product: direct - xi d/dV <dL_train/dz, dz/dW g>."""
        ahead = {k: w.requires_grad_() for k, w in self.ahead(xi).items()}
        slope = torch.autograd.grad(self.val(ahead), list(ahead.values()))
        toward = dict(zip(ahead, slope, strict=True))
        params = {k: w.detach() for k, w in self.params.items()}
        ids, labels = self.step.batch.ids, self.step.batch.labels
        logits, t = jvp(
            lambda *values: self.logits(dict(zip(params, values, strict=True)), ids),
            tuple(params.values()),
            tuple(toward.values()),
        )
        logits = logits.detach().requires_grad_()
        loss = self.mixture(labels, logits, "inner", None)
        (signal,) = torch.autograd.grad(loss, logits, create_graph=True)
        return self.direct_term(xi) - xi * self.of_weighting((signal * t.detach()).sum())


@dataclass(frozen=True)
class ByAdam(Reference):
    """The look-ahead is a step of Adam, whose moments are sums over all gradients so far.

    `past` has those of the steps before, whole tables, L2 included where there is L2.
    """

    past: Sequence[Params]
    l2: float = 0.0
    decay: float = 0.0

    def moved(self, name: str, w: Tensor, g: Tensor, xi: float) -> Tensor:
        """Kingma & Ba's W - xi m / (sqrt(v) + 1e-8), corrected for bias; the past is constant."""
        gradients = [*(past[name] for past in self.past), g + self.l2 * w]
        t = len(gradients)
        m = sum(0.1 * 0.9 ** (t - i) * x for i, x in enumerate(gradients, 1)) / (1 - 0.9**t)
        v = sum(0.001 * 0.999 ** (t - i) * x**2 for i, x in enumerate(gradients, 1))
        v = v / (1 - 0.999**t)
        used = v > 0  # a row that nothing has read so far stays
        root = torch.where(used, v, 1.0).sqrt()
        return w * (1 - xi * self.decay) - torch.where(used, xi * m / (root + 1e-8), 0.0)


def central_difference(value: Callable[[], float], entry: Tensor, h: float) -> float:
    """dvalue/dentry, `entry` a 0-dimensional view of a parameter."""
    start, values = entry.item(), []
    for sign in (1, -1):
        with torch.no_grad():
            entry.fill_(start + sign * h)
        values.append(value())
    with torch.no_grad():
        entry.fill_(start)
    return (values[0] - values[1]) / (2 * h)
