"""Constant weights that a configuration gives, in a region others than elsewhere.

    p = inside where the example is in the region, else weights

A region is a field and some of its ids, as flips of labels have it. With the weights that are right
inside and outside this is the oracle of a study with a planted answer: what a weighting by example
could reach. Without `weights` all candidates weigh the same, without `inside` they do everywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoloss.errors import require_known
from autoloss.methods.contract import Method
from autoloss.methods.examples import Examples
from autoloss.methods.info import Info
from autoloss.methods.options import require_weights
from autoloss.seeds import Draw


class Constant(Method):
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

    def build(self) -> None:
        """Keep the weights and the region's ids as buffers."""
        self.register_buffer("outside", self._given("weights"))
        self.column: int | None = None
        if self.options["inside"]:
            names, field = list(self.fields), self.options["field"]
            require_known([field], names, "field", f"methods.{self.info.name}.field")
            self.column = names.index(field)
            ids = [int(value) for value in self.options["ids"]]
            self.register_buffer("ids", torch.tensor(ids, dtype=torch.int64))
            self.register_buffer("inside", self._given("inside"))

    def _given(self, option: str) -> Tensor:
        """Weights `[n]`, in the candidates' order; equal ones if none are given."""
        names, given = self.candidates.names, self.options[option]
        require_weights(self.info, given, names, option)
        return torch.tensor(list(given) or [1 / len(names)] * len(names))

    def weights(self, examples: Examples, draw: Draw) -> Tensor:
        """The constants, `[B, n]`."""
        outside = self.get_buffer("outside").unsqueeze(-2)
        if self.column is None:
            return outside.expand(*examples.labels.shape, -1)
        own = examples.ids[..., self.column].unsqueeze(-1)
        here = (own == self.get_buffer("ids").unsqueeze(-2)).any(dim=-1, keepdim=True)
        return torch.where(here, self.get_buffer("inside").unsqueeze(-2), outside)
