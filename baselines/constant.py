"""Constant weights that a configuration gives, in a region others than elsewhere.

    p = inside where the example is in the region, else weights

A region is a field and some of its ids, as flips of labels have it. With the weights that are right
inside and outside this is the oracle of a study with a planted answer: what a weighting by example
could reach. Without `weights` all candidates weigh the same, without `inside` they do everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from autoloss.errors import require_known
from autoloss.methods.contract import Method
from autoloss.methods.examples import Examples
from autoloss.methods.fixed import FixedWeights
from autoloss.methods.info import Info
from autoloss.methods.options import require_weights
from autoloss.seeds import Draw


class Constant(FixedWeights):
    """Weights by candidate, and others for the examples of a region."""

    info = Info(
        name="constant",
        label="Constant",
        summary="constant weights of one's choice, in a region others than elsewhere",
        paper="control of this project",
        fidelity=(
            (
                "weights",
                "§3.4",
                "all candidates, or one",
                "our reading",
                "a control: given, not searched",
            ),
        ),
        weights="per example",
        learns_on="nothing",
        tables=(),
        options={"weights": (), "inside": (), "field": "", "ids": ()},
        untuned={
            "weights": "what the method is",
            "inside": "what the method is",
            "field": "which region it knows",
            "ids": "which region it knows",
        },
    )

    def constants(self) -> Mapping[str, float]:
        """The weights by candidate name, those outside of the region."""
        return dict(zip(self.candidates.names, self._given("weights"), strict=True))

    def _given(self, option: str) -> list[float]:
        names = self.candidates.names
        require_weights(self.info, self.options[option], names)
        return list(self.options[option] or [1 / len(names)] * len(names))

    def build(self) -> None:
        """Keep the weights and the region's ids as buffers."""
        super().build()
        self.column: int | None = None
        if self.options["inside"]:
            names, field = list(self.fields), self.options["field"]
            require_known([field], names, "field", f"methods.{self.info.name}.field")
            self.column = names.index(field)
            ids = [int(value) for value in self.options["ids"]]
            self.register_buffer("ids", torch.tensor(ids, dtype=torch.int64))
            self.register_buffer("inside", torch.tensor(self._given("inside")))

    def weights(self, examples: Examples, draw: Draw) -> Tensor:
        """The constants, `[n]`, or `[B, n]` where there is a region."""
        outside = super().weights(examples, draw)
        if self.column is None:
            return outside
        here = torch.isin(examples.ids[..., self.column], self.get_buffer("ids"))
        return torch.where(here.unsqueeze(-1), self.get_buffer("inside"), outside)

    def weigh(self, examples: Examples, t: int, role: str = "inner") -> tuple[Tensor, Tensor]:
        """From the used candidates alone, but where there is a region."""
        if self.column is None:
            return super().weigh(examples, t, role)
        return Method.weigh(self, examples, t, role)
