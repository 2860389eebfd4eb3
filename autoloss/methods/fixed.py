"""Constant weights over the candidate losses: a method's own, or such as a search finds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from autoloss.domains import Domain
from autoloss.errors import ConfigError
from autoloss.methods.contract import Method
from autoloss.methods.examples import Examples
from autoloss.methods.options import require_weights
from autoloss.seeds import Draw

Assignment = Mapping[str, Any]  # "training.lr", "method.weights", ... -> value


class BudgetSpentError(Exception):
    """What a search asks for is more than is left of its budget."""


class Lab(Protocol):
    """Where a search tries assignments, within its budget of epochs."""

    @property
    def candidates(self) -> tuple[str, ...]:
        """The candidate losses, in order."""

    @property
    def max_epochs(self) -> int:
        """Epochs that a whole trial may train."""

    @property
    def trials(self) -> int:
        """Whole trials that the budget pays for."""

    @property
    def space(self) -> Mapping[str, Domain]:
        """What the tuned protocol searches beside weights: key -> domain; none in the published."""

    @property
    def published(self) -> Assignment:
        """What the keys of `space` have without a search, and for a method that searches weights
        the equal ones."""

    @property
    def seed(self) -> int:
        """Seed of every trial's training, and for the searcher's own draws."""

    def train(self, assignment: Assignment, epochs: int | None = None) -> float:
        """The value of `assignment` after `epochs` epochs (all, if left out); -inf if it diverged.

        A trial that had fewer epochs before goes on from there; one that had them costs nothing.

        Raises:
            BudgetSpentError: it may need more epochs than are left. Nothing was trained.
        """


class FixedWeights(Method):
    """Constant weights, given by candidate name; candidates of weight 0 are not computed."""

    constant: ClassVar[Mapping[str, float]]

    def constants(self) -> Mapping[str, float]:
        """The weights by candidate name."""
        return self.constant

    def build(self) -> None:
        """Keep the weights as a buffer, in the candidates' order."""
        names, constant = self.candidates.names, self.constants()
        missing = set(constant) - set(names)
        if missing:
            raise ConfigError(
                "losses.candidates",
                f"'{self.info.name}' needs {', '.join(sorted(missing))}",
                "add it to the candidates, or leave the method out",
            )
        used = {name: weight for name, weight in constant.items() if weight}
        self.used = self.candidates.only(*used)
        self.register_buffer("vector", torch.tensor([constant.get(n, 0.0) for n in names]))
        self.register_buffer("used_vector", torch.tensor(list(used.values())))

    def weights(self, examples: Examples, draw: Draw) -> Tensor:
        """The constants, `[n]`."""
        vector: Tensor = self.get_buffer("vector")
        return vector

    def weigh(self, examples: Examples, t: int, role: str = "inner") -> tuple[Tensor, Tensor]:
        """As for any method, from the used candidates alone."""
        values = self.used(examples.labels, examples.logits) * self.get_buffer("used_vector")
        return values.sum(dim=-1).mean(), self.get_buffer("vector")


class Searched(FixedWeights):
    """Constant weights that a search finds before the seeds are trained (`info.searches`).

    `search` tries weights in the lab; the best are handed to every seed's run as the option
    `weights`, in the candidates' order. Without a search all candidates weigh the same.
    """

    def constants(self) -> Mapping[str, float]:
        """The searched weights, or equal ones."""
        names = self.candidates.names
        weights = self.options["weights"] or [1 / len(names)] * len(names)
        require_weights(self.info, weights, names)
        return dict(zip(names, weights, strict=True))

    @classmethod
    def search(cls, lab: Lab) -> None:
        """Call `lab.train` as the method sees fit, within the lab's budget.

        An assignment has `method.weights`, in the candidates' order, and a value for each key of
        `lab.space`. With any, the first is `lab.published`.
        """
        raise NotImplementedError
