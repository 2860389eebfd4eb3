"""The Method contract: how the candidate losses are weighted, and how that weighting learns.

The training loop is the same for every method; a method says only this. `Method` weighs the
candidates somehow; `fixed.FixedWeights` by constants, `fixed.Searched` by constants that a search
finds; `learned` has those whose weighting has parameters. A baseline subclasses one of them
in a file of its own. docs/methods-contract.md says what is called when.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from autoloss.candidates import CandidateLosses
from autoloss.config import LossOptions
from autoloss.data.load.batches import Batch
from autoloss.errors import ConfigError
from autoloss.functional import FunctionalModel
from autoloss.hypergradient import Move
from autoloss.methods.discover import discover
from autoloss.methods.examples import Examples
from autoloss.methods.info import Info
from autoloss.methods.options import loss_options_of, options_of
from autoloss.methods.promises import require_shape
from autoloss.seeds import Draw, derive_seed, seeded
from autoloss.strict import check
from autoloss.task import Task


class Descent(NamedTuple):
    """What moves the model: the loss (scalar), the weights that made it, `[n]` or `[B, n]`, and the
    gradients of the parameters opened, then of the method's `inner_parameters`.
    """

    loss: Tensor
    weights: Tensor
    gradients: Sequence[Tensor]


@dataclass
class Step:
    """What the loop hands to a method before each inner step.

    Args:
        t: inner steps done so far.
        model: the DRS, in training mode.
        batch: the training batch of the coming inner step.
        validation: `k -> Batch`, the k-th of an endless run of validation batches.
        lr: the DRS learning rate now.
        seed: the run's, for the model's dropout.
        opener: makes the functional model of some batches, as `FunctionalModel` does.
        advance: the optimizer's own step on what was opened last, for `look_ahead: optimizer`.

    A method that has computed the coming inner step already leaves it in `descent`.
    """

    t: int
    model: nn.Module
    batch: Batch
    validation: Callable[[int], Batch]
    lr: float
    seed: int
    opener: Callable[..., FunctionalModel] = FunctionalModel
    advance: Move | None = None
    descent: Descent | None = field(default=None, init=False)
    _opened: FunctionalModel | None = field(default=None, init=False)
    _logits: Tensor | None = field(default=None, init=False)

    def open(self, *others: Batch, cut: bool = True) -> FunctionalModel:
        """The model as a function on the training batch (0) and `others` (1, 2, ...).

        Its tables are cut to the rows that these read, unless `cut` is False.
        """
        ids = [batch.ids for batch in (self.batch, *others)]
        self._opened, self._logits = self.opener(self.model, ids, cut=cut), None
        return self._opened

    @property
    def opened(self) -> FunctionalModel:
        """What was opened last; if nothing, the training batch on whole tables."""
        return self._opened or self.open(cut=False)

    def forward(self, params: Mapping[str, Tensor] | None = None) -> Tensor:
        """Logits of the training batch as the coming inner step has them, its dropout masks too.

        Without `params`, those of the inner step itself: one pass, whoever asks first, and its
        graph is kept.
        """
        if params is not None:
            return self.opened(params, 0, self.draw())
        if self._logits is None:
            self._logits = self.opened.current(self.draw())
        return self._logits

    def draw(self, role: str = "inner") -> Draw:
        """The noise of a pass of the model in this role: the inner step's, or another one's."""
        return Draw.of(self.t, self.seed, "dropout", role)


class Method(nn.Module):
    """A way of weighing the candidate losses; subclasses define `weights`, and `build` if needed.

    Args:
        task: binary or C-class.
        losses: the candidates and their constants (the study's defaults if left out), over which
            those in `info.losses` are laid.
        options: overrides of the defaults in `info.options`; unknown keys raise ConfigError.
        steps_per_epoch: inner steps of an epoch (for schedules written per epoch).
        seed: the run's seed, for the method's own noise.
        fields: how many values each field of the ids has, by name, in the columns' order.
    """

    info: ClassVar[Info]

    def __init__(
        self,
        task: Task | None = None,
        losses: LossOptions | None = None,
        options: Mapping[str, Any] | None = None,
        *,
        steps_per_epoch: int = 1,
        seed: int = 0,
        fields: Mapping[str, int] | None = None,
    ) -> None:
        super().__init__()
        self.task, methods = task or Task(), discover()
        own = {**(losses or LossOptions()).model_dump(), **loss_options_of(self.info, methods)}
        losses = check(LossOptions, own, f"the losses of {self.info.name}")
        self.candidates = CandidateLosses(self.task, losses)
        self.options = options_of(self.info, options or {}, methods)
        self.steps_per_epoch, self.seed = steps_per_epoch, seed
        self._fields = dict(fields or {})
        # Built from its own seed: the model's initialisation is the same for every method.
        with seeded(derive_seed(seed, "weighting")):
            self.build()

    def build(self) -> None:
        """Make the modules the method needs; nothing by default."""

    @property
    def fields(self) -> Mapping[str, int]:
        """How many values each field has, by name, in the order of the columns of the ids.

        Raises:
            ConfigError: the method was made without them.
        """
        if not self._fields:
            mend = "give them: `fields={name: size, ...}`, in the order of the columns of the ids"
            where = type(self).__name__
            raise ConfigError(where, "depends on the fields' sizes, and was made without", mend)
        return self._fields

    def weights(self, examples: Examples, draw: Draw) -> Tensor:
        """Weights of the candidates, `[n]` or `[B, n]`; `draw` has the step and the noise."""
        raise NotImplementedError

    def before_step(self, step: Step) -> bool:
        """Called before each inner step; True if the weighting was updated. Nothing by default."""
        return False

    def inner_parameters(self) -> Sequence[nn.Parameter]:
        """Parameters that the inner step's own gradient trains beside the model's."""
        return ()

    def after_step(self) -> bool:
        """Called after each inner step, with those parameters' gradients set; as `before_step`."""
        return False

    def descend(self, step: Step) -> Descent:
        """The inner step's loss, weights and gradients, under the weighting as it is now."""
        loss, weights = self.weigh(self.examples(*step.batch, step.forward()), step.t)
        wanted = [*step.opened.params.values(), *self.inner_parameters()]
        gradients = torch.autograd.grad(loss, wanted, materialize_grads=True)
        return Descent(loss.detach(), weights.detach(), gradients)

    def loss(
        self,
        labels: Tensor,
        logits: Tensor,
        t: int,
        role: str = "inner",
        *,
        ids: Tensor | None = None,
    ) -> Tensor:
        """The mixed loss, mean over the batch of sum_i p_i l_i (Eq. 11), scalar.

        The same `t` and `role` ("inner" or "outer") always give the same noise. `ids` `[B, F]` are
        for methods whose weights depend on them.
        """
        return self.weigh(self.examples(ids, labels, logits), t, role)[0]

    def examples(self, ids: Tensor | None, labels: Tensor, logits: Tensor) -> Examples:
        """What the weights of a batch may depend on: `method.examples(*batch, logits)`."""
        return Examples(labels, logits, ids, self.candidates)

    def weigh(self, examples: Examples, t: int, role: str = "inner") -> tuple[Tensor, Tensor]:
        """The mixed loss, scalar, and the weights that made it, `[n]` or `[B, n]`."""
        weights = self.weights(examples, self.draw(t, role))
        require_shape(self, weights, examples.losses)
        return (weights * examples.losses).sum(dim=-1).mean(), weights

    def draw(self, t: int, role: str) -> Draw:
        """The schedule's step and the noise of one evaluation."""
        return Draw.of(t, self.seed, "noise", role)
