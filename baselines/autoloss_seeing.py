"""AutoLoss whose controller sees more than (y, y_hat): the loss values, or the features.

    s_b = V(y_b, y_hat_b, l_b1 .. l_bn)      sees: losses
    s_b = V(y_b, y_hat_b, e(x_b))            sees: features

e(x) are embeddings of 4 numbers a field, the controller's own, learned with it. The losses are
constants to the controller, as in Meta-Weight-Net.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from autoloss.layers.embedding import FieldEmbedding
from autoloss.layers.hidden import Hidden
from autoloss.layers.linear import Linear
from autoloss.methods.autoloss import AutoLoss
from autoloss.methods.examples import Examples
from autoloss.methods.info import Info
from autoloss.methods.weighting import label_and_output
from autoloss.task import Task

WIDTH = 4  # of a field's embedding


class Seeing(nn.Module):
    """A controller, as AutoLoss' but for its input: `beside` more numbers, or some fields' ids."""

    def __init__(
        self,
        task: Task,
        candidates: int,
        *,
        beside: int = 0,
        field_sizes: Sequence[int] = (),
        hidden: Sequence[int],
        dropout: float,
        detach: bool,
    ) -> None:
        super().__init__()
        self.task, self.detach = task, detach
        if field_sizes:
            self.table = FieldEmbedding(field_sizes, WIDTH)
            nn.init.normal_(self.table.weight)  # as large as what is seen beside it
        seen = (2 if task.binary else 2 * task.classes) + beside + WIDTH * len(field_sizes)
        widths = [seen, *hidden]
        layers = [Hidden(n, m, dropout, track=False) for n, m in pairwise(widths)]
        self.net = nn.Sequential(*layers, Linear(widths[-1], candidates))

    def features(self, ids: Tensor) -> Tensor:
        """Embeddings side by side, `int64[B, F]` -> `[B, 4F]`."""
        embedded: Tensor = self.table(ids)
        return embedded.flatten(-2)

    def forward(self, labels: Tensor, logits: Tensor, beside: Tensor) -> Tensor:
        """Scores `[B, n]`."""
        seen = label_and_output(self.task, labels, logits.detach() if self.detach else logits)
        scores: Tensor = self.net(torch.cat((seen, beside), dim=-1))
        return scores


class AutoLossSeeing(AutoLoss):
    """AutoLoss with another input of its controller."""

    info = Info(
        name="autoloss_seeing",
        label="AutoLoss (seeing more)",
        summary="AutoLoss whose controller sees the loss values, or the features, too",
        paper="variant of Zhao et al., AutoLoss, KDD 2021",
        fidelity=(
            (
                "the controller's input",
                "§2.4, Fig. 1",
                "label y and output ŷ, no features, no losses",
                "our reading",
                "a control: these beside them",
            ),
        ),
        weights="per example",
        learns_on="validation",
        tables=(),
        base="autoloss",
        options={"sees": "losses"},
        choices={"sees": ("losses", "features")},
    )

    def build(self) -> None:
        """The controller, wider by what it sees."""
        super().build()
        o, n = self.options, len(self.candidates)
        losses = o["sees"] == "losses"
        self.weighting = Seeing(
            self.task,
            n,
            beside=n if losses else 0,
            field_sizes=() if losses else list(self.fields.values()),
            hidden=o["hidden"],
            dropout=o["dropout"],
            detach=o["detach"],
        )

    def scores(self, examples: Examples) -> Tensor:
        """`[B, n]`, of (y, y_hat) and of the losses or the features."""
        weighting = self.weighting
        assert isinstance(weighting, Seeing)
        seen = self.options["sees"] == "losses"
        beside = examples.losses.detach() if seen else weighting.features(examples.ids)
        scores: Tensor = weighting(examples.labels, examples.logits, beside)
        return scores
