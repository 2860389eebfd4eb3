"""The Method contract: how the candidate losses are weighted, and how that weighting learns.

The training loop is the same for every method; a method says only this. `Method` weighs the
candidates somehow; `FixedWeights` by constants; `Learned` by a weighting with parameters V that an
outer step updates (paper Algorithm 1). A baseline subclasses one of them in a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from autoloss.config import LossOptions
from autoloss.data.batches import Batch
from autoloss.errors import ConfigError
from autoloss.hypergradient import ESTIMATORS, OuterProblem, Params
from autoloss.losses import CandidateLosses
from autoloss.models.functional import FunctionalModel
from autoloss.registry import Info, discover, options_of
from autoloss.seeds import derive_seed, isolated_randomness, reseed
from autoloss.task import Task
from autoloss.weighting import Draw, Relaxation


@dataclass(frozen=True)
class Step:
    """What the loop hands to a method before each inner step.

    Args:
        t: inner steps done so far.
        model: the DRS, in training mode.
        batch: the training batch of the coming inner step.
        validation: `k -> Batch`, the k-th of an endless run of validation batches.
        lr: the DRS learning rate now.
        seed: seed of the coming inner step's dropout.
    """

    t: int
    model: nn.Module
    batch: Batch
    validation: Callable[[int], Batch]
    lr: float
    seed: int


class Method(nn.Module):
    """A way of weighing the candidate losses; subclasses define `weights`, and `build` if needed.

    Args:
        task: binary or C-class.
        losses: the candidates and their constants (the study's defaults if left out).
        options: overrides of the defaults in `info.options`; unknown keys raise ConfigError.
        steps_per_epoch: inner steps of an epoch (for schedules written per epoch).
        seed: the run's seed, for the method's own noise.
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
    ) -> None:
        super().__init__()
        self.task = task or Task()
        self.candidates = CandidateLosses(self.task, losses or LossOptions())
        self.options = options_of(self.info, options or {}, discover())
        self.steps_per_epoch, self.seed = steps_per_epoch, seed
        self._generators: dict[str, torch.Generator] = {}
        # Built from its own seed: the model's initialisation is the same for every method.
        with isolated_randomness(torch.device("cpu")):
            reseed(derive_seed(seed, "weighting"), torch.device("cpu"))
            self.build()

    def build(self) -> None:
        """Make the modules the method needs; nothing by default."""

    def weights(self, labels: Tensor, logits: Tensor, draw: Draw) -> Tensor:
        """Weights of the candidates, `[n]` or `[B, n]`; `draw` has the step and the noise."""
        raise NotImplementedError

    def before_step(self, step: Step) -> bool:
        """Called before each inner step; True if the weighting was updated. Nothing by default."""
        return False

    def loss(self, labels: Tensor, logits: Tensor, t: int, role: str = "inner") -> Tensor:
        """The mixed loss, mean over the batch of sum_i p_i l_i (Eq. 11), scalar.

        The same `t` and `role` ("inner" or "outer") always give the same noise.
        """
        return self.weigh(labels, logits, t, role)[0]

    def weigh(
        self, labels: Tensor, logits: Tensor, t: int, role: str = "inner"
    ) -> tuple[Tensor, Tensor]:
        """The mixed loss, scalar, and the weights that made it, `[n]` or `[B, n]`."""
        weights = self.weights(labels, logits, self.draw(t, role, logits.device))
        return (weights * self.candidates(labels, logits)).sum(dim=-1).mean(), weights

    def draw(self, t: int, role: str, device: torch.device) -> Draw:
        """The schedule's step and freshly seeded noise of one evaluation."""
        generator = self._generators.setdefault(str(device), torch.Generator(device))
        generator.manual_seed(derive_seed(self.seed, "noise", role, t))
        return Draw(t, generator)


class FixedWeights(Method):
    """Constant weights, given by candidate name; candidates of weight 0 are not computed."""

    constant: ClassVar[Mapping[str, float]]

    def build(self) -> None:
        """Keep the weights as a buffer, in the candidates' order."""
        names = self.candidates.names
        missing = set(self.constant) - set(names)
        if missing:
            raise ConfigError(
                "losses.candidates",
                f"'{self.info.name}' needs {', '.join(sorted(missing))}",
                "add it to the candidates, or leave the method out",
            )
        self.used = CandidateLosses(self.task, self.candidates.options, list(self.constant))
        self.register_buffer("vector", torch.tensor([self.constant.get(n, 0.0) for n in names]))
        self.register_buffer("used_vector", torch.tensor(list(self.constant.values())))

    def weights(self, labels: Tensor, logits: Tensor, draw: Draw) -> Tensor:
        """The constants, `[n]`."""
        vector: Tensor = self.get_buffer("vector")
        return vector

    def weigh(
        self, labels: Tensor, logits: Tensor, t: int, role: str = "inner"
    ) -> tuple[Tensor, Tensor]:
        """As for any method, from the used candidates alone."""
        values = self.used(labels, logits) * self.get_buffer("used_vector")
        return values.sum(dim=-1).mean(), self.get_buffer("vector")


class Learned(Method):
    """A weighting with parameters V, updated by Adam every `every` inner steps.

    `build` sets `weighting` (a module: labels, logits -> scores) and `relaxation` (scores ->
    weights). The options `every`, `lr`, `xi_over_lr`, `hypergradient` and `criterion` say when and
    how V learns; the outer batch is a validation or the training batch, as `info.learns_on` says.
    """

    weighting: nn.Module
    relaxation: Relaxation

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        options, where = self.options, f"methods.{self.info.name}"
        if options["every"] < 1:
            raise ConfigError(f"{where}.every", "is below 1", "give steps, 1 or more")
        first_order = options["hypergradient"] == "direct" or options["xi_over_lr"] == 0
        if first_order and options["criterion"] != "mixture":
            raise ConfigError(
                f"{where}.criterion",
                f"with xi = 0, '{options['criterion']}' does not depend on the weighting",
                "set hypergradient: exact, or criterion: mixture",
            )
        self.optimizer = torch.optim.Adam(self.weighting.parameters(), lr=options["lr"])
        self.weighting.requires_grad_(False)  # V is constant but in the outer step

    def weights(self, labels: Tensor, logits: Tensor, draw: Draw) -> Tensor:
        """The relaxed scores, `[n]` or `[B, n]`."""
        return self.relaxation(self.weighting(labels, logits), draw)

    def before_step(self, step: Step) -> bool:
        """One outer step on V if one is due; leaves the model and torch's generators untouched."""
        if step.t % self.options["every"]:
            return False
        self.weighting.requires_grad_(True)
        with isolated_randomness(step.batch.ids.device):
            problem = self.outer_problem(step)
            estimate = ESTIMATORS[self.options["hypergradient"]]
            gradients = estimate(problem, self.options["xi_over_lr"] * step.lr)
        for parameter, gradient in zip(problem.weighting, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        self.weighting.requires_grad_(False)
        return True

    def outer_problem(self, step: Step) -> OuterProblem:
        """L_train and L_val of the coming step as functions of the model's parameters."""
        on_validation = self.info.learns_on == "validation"
        outer = step.validation(step.t // self.options["every"]) if on_validation else step.batch
        model = FunctionalModel(step.model, [step.batch.ids, outer.ids])
        role, device = "outer" if on_validation else "inner", step.batch.ids.device

        def train_loss(params: Params) -> Tensor:
            reseed(step.seed, device)  # the dropout masks of the coming inner step
            return self.loss(step.batch.labels, model(params, 0), step.t)

        def val_loss(params: Params) -> Tensor:
            reseed(derive_seed(step.seed, role), device)
            logits = model(params, 1)
            if self.options["criterion"] == "mixture":
                return self.loss(outer.labels, logits, step.t, role)
            criterion = CandidateLosses(self.task, self.candidates.options, ["ce"])
            return criterion(outer.labels, logits).mean()

        return OuterProblem(train_loss, val_loss, model.params, list(self.weighting.parameters()))

    def get_extra_state(self) -> dict[str, Any]:
        """The outer optimizer's state, so that a checkpoint of the method is whole."""
        return {"optimizer": self.optimizer.state_dict()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the outer optimizer."""
        self.optimizer.load_state_dict(state["optimizer"])
