"""Methods whose weighting has parameters V: trained with the model, or by an outer step of its own.

`Joint` takes one step on the model's W and on V together, down the same training loss. `Learned` is
the paper's Algorithm 1: an outer step on V, through a look-ahead step on W (Eq. 12-13).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from autoloss.data.load.batches import Batch
from autoloss.errors import ConfigError
from autoloss.functional import decision_layers
from autoloss.hypergradient import ESTIMATORS, Gradients, Move, OuterProblem, Params, along_gradient
from autoloss.layers.dropout import drawing, dropouts
from autoloss.methods.contract import Descent, Method, Step
from autoloss.methods.examples import Examples
from autoloss.methods.weighting import Relaxation
from autoloss.ops.adam import Adam
from autoloss.seeds import Draw


class Parametric(Method):
    """A weighting with parameters V and an Adam of their own.

    `build` sets `weighting`, a module whose parameters are V, and `relaxation` (scores -> weights);
    `scores` calls the former, with labels and logits unless a subclass has it otherwise. Options:
    `lr`, and where a method has them, Adam's `betas` and `weight_decay`.
    """

    weighting: nn.Module
    relaxation: Relaxation

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.optimizer = Adam(
            self.weighting.parameters(),
            self.options["lr"],
            betas=self.options.get("betas", (0.9, 0.999)),
            weight_decay=self.options.get("weight_decay", 0.0),
        )
        self._dropouts = dropouts(self.weighting)

    def scores(self, examples: Examples) -> Tensor:
        """The weighting's scores, `[n]` or `[B, n]`, here of (y, y_hat) as in the paper (§2.4)."""
        scores: Tensor = self.weighting(examples.labels, examples.logits)
        return scores

    def weights(self, examples: Examples, draw: Draw) -> Tensor:
        """The relaxed scores, `[n]` or `[B, n]`."""
        with drawing(self._dropouts, draw):
            scores = self.scores(examples)
        return self.relaxation(scores, draw)

    def get_extra_state(self) -> dict[str, Any]:
        """The optimizer's state, so that a checkpoint of the method is whole."""
        return {"optimizer": self.optimizer.state_dict()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the optimizer."""
        self.optimizer.load_state_dict(state["optimizer"])


class Joint(Parametric):
    """V learns on the training batch, in the very step that trains the model."""

    def kind(self, t: int) -> int:
        """All steps are alike."""
        return 0

    def inner_parameters(self) -> Sequence[nn.Parameter]:
        """V."""
        return list(self.weighting.parameters())

    def after_step(self) -> bool:
        """One Adam step on V."""
        self.optimizer.step()
        return True


class Learned(Parametric):
    """A weighting with parameters V, updated by Adam after every `every` steps on W (Algorithm 1).

    The options `every`, `lr`, `xi_over_lr`, `hypergradient` and `criterion` say when and how V
    learns; the outer batch is a validation or the training batch, as `info.learns_on` says. Of
    these a method may leave out:

        updates     alternating: W's next step is under the new V, as in Algorithm 1. simultaneous:
                    under the old one, by the look-ahead's own gradient, and V's change acts later.
        look_ahead  gradient: by Eq. 13, W' = W - xi dL_train/dW. optimizer: by the step that W's
                    own optimizer would take along that gradient, its moments held constant,
                    xi_over_lr times as long.
    """

    decision_layers_only: ClassVar[bool] = False  # look ahead with embeddings held still (MeLU)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._require_gradients(False)  # V is constant but in the outer step

    def before_step(self, step: Step) -> bool:
        """One outer step on V if `every` steps are done since the last, or the start.

        W stays as it is. With simultaneous updates the coming inner step's descent is left in
        `step`.
        """
        if not self._due(step.t):
            return False
        problem = self.outer_problem(step)
        gradients = self._estimate(problem, self.options["xi_over_lr"] * step.lr)
        if self.options.get("updates", "alternating") == "simultaneous":
            step.descent = self._looked_at(problem, step) or self.descend(step)
        for parameter, gradient in zip(problem.weighting, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        return True

    def _due(self, t: int) -> bool:
        return t > 0 and t % self.options["every"] == 0

    def kind(self, t: int) -> int:
        """Whether an outer step is due."""
        return int(self._due(t))

    def _estimate(self, problem: OuterProblem, xi: float) -> Gradients:
        self._require_gradients(True)
        try:
            return ESTIMATORS[self.options["hypergradient"]](problem, xi)
        finally:
            self._require_gradients(False)

    def _require_gradients(self, required: bool) -> None:
        for parameter in self.optimizer.parameters:
            parameter.requires_grad_(required)

    def _looked_at(self, problem: OuterProblem, step: Step) -> Descent | None:
        """The inner step that the look-ahead looked at, if there was one and it moves all of W."""
        if problem.descent.keys() != step.opened.params.keys():
            return None
        return Descent(*self._weighed[0], list(problem.descent.values()))

    def outer_problem(self, step: Step) -> OuterProblem:
        """L_train and L_val of the coming step as functions of the model's parameters."""
        on_validation = self.info.learns_on == "validation"
        done = step.t // self.options["every"] - 1
        outer = step.validation(done) if on_validation else step.batch
        role = "outer" if on_validation else "inner"
        self._weighed: list[tuple[Tensor, Tensor]] = []  # first, at the current parameters

        def train_loss(logits: Tensor) -> Tensor:
            loss, weights = self.weigh(self.examples(*step.batch, logits), step.now)
            self._weighed.append((loss.detach(), weights.detach()))
            return loss

        def val_loss(logits: Tensor) -> Tensor:
            if self.options["criterion"] == "mixture":
                return self.weigh(self.examples(*outer, logits), step.now, role)[0]
            return self.candidates.only("ce")(outer.labels, logits).squeeze(-1).mean(dim=-1)

        weighting = self.optimizer.parameters
        moves = decision_layers(step.model) if self.decision_layers_only else None
        problem = look_ahead(step, outer, train_loss, val_loss, weighting, role=role, moves=moves)
        problem.move = self._move(step)
        return problem

    def _move(self, step: Step) -> Move:
        """The look-ahead step."""
        if self.options.get("look_ahead", "gradient") == "gradient":
            return along_gradient
        if step.advance is None:
            where = f"methods.{self.info.name}.look_ahead"
            mend = "give `Step` the optimizer's `advance`, or set look_ahead: gradient"
            raise ConfigError(where, "is 'optimizer', which the training loop does not offer", mend)
        return step.advance


def look_ahead(
    step: Step,
    outer: Batch,
    train_loss: Callable[[Tensor], Tensor],
    val_loss: Callable[[Tensor], Tensor],
    weighting: Sequence[Tensor],
    *,
    role: str = "outer",
    moves: Container[str] | None = None,
) -> OuterProblem:
    """The outer problem of a step, from the two losses as functions of the logits.

    The training pass has the dropout masks of the coming inner step, the pass over `outer` those of
    `role`. `moves` names the model's parameters that look ahead; all if left out.
    """
    model = step.open(outer)
    current = {k: v for k, v in model.params.items() if moves is None or k in moves}

    def train(params: Params) -> Tensor:
        return train_loss(step.forward(None if params is current else params))

    def val(params: Params) -> Tensor:
        return val_loss(model(params, 1, step.draw(role)))

    return OuterProblem(train, val, current, weighting, owners=model.owners)
