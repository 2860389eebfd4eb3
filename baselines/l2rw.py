"""L2RW, learning to reweight examples (Ren et al., ICML 2018), on pairs of example and candidate.

No parameters: the weights are made anew for each batch. From eps = 0, one weight per pair, a
virtual step, and what each pair would have done for the validation loss (their Eq. 12-14):

    W'(eps) = W - xi grad_W sum_bi eps_bi l_bi
    u_bi = max(0, -dL_val(W'(eps))/deps_bi at eps = 0)      w_bi = u_bi / sum u

and all 0 if no pair helps.

L_val is cross-entropy. The mixed loss is a mean over the batch, so p_bi = B w_bi.

Deviations. The original weighs the examples of one loss; its clean set is the study's validation
split.
"""

from __future__ import annotations

import torch
from torch import Tensor

from autoloss.hypergradient import OuterProblem, exact
from autoloss.methods.contract import Method, Step
from autoloss.methods.examples import Examples
from autoloss.methods.info import Info
from autoloss.methods.learned import look_ahead
from autoloss.seeds import Draw


class L2RW(Method):
    """Weights of the coming batch from one look-ahead step; equal ones where there is none."""

    info = Info(
        name="l2rw",
        label="L2RW",
        summary="per-pair weights of each batch by what they do for the validation loss",
        paper="Ren et al., Learning to Reweight Examples for Robust Deep Learning, ICML 2018",
        fidelity=(
            (
                "weights",
                "L2RW, Eq. 12-14",
                "max(0, -dL_val/dε) after a step from ε = 0, sum 1",
                "original's way",
                "the same, of pairs of example and candidate",
            ),
            ("data", "L2RW, code", "a small clean set", "original's way", "the validation split"),
        ),
        weights="per example",
        learns_on="validation",
        tables=("controls",),
        simplex=False,
    )

    current: Tensor

    def build(self) -> None:
        """Nothing is kept between batches."""
        n = len(self.candidates)
        self.register_buffer("current", torch.full((n,), 1 / n), persistent=False)

    def weights(self, examples: Examples, draw: Draw) -> Tensor:
        """The weights that `before_step` made for this batch, `[B, n]`."""
        return self.current.to(examples.logits)

    def before_step(self, step: Step) -> bool:
        """One look-ahead step from eps = 0; leaves the model untouched."""
        u = -exact(self._problem(step), step.lr)[0].clamp_max(0)
        together = u.sum(dim=(-2, -1), keepdim=True)
        share = u * step.batch.labels.shape[-1] / together
        self.current = torch.where(together > 0, share, u)
        return True

    def kind(self, t: int) -> int:
        """All steps are alike."""
        return 0

    def _problem(self, step: Step) -> OuterProblem:
        batch, outer = step.batch, step.validation(step.t)
        like = next(step.model.parameters())
        eps = like.new_zeros((*batch.labels.shape, len(self.candidates)), requires_grad=True)
        return look_ahead(
            step,
            outer,
            lambda logits: (eps * self.candidates(batch.labels, logits)).sum(dim=(-2, -1)),
            lambda logits: self.candidates.only("ce")(outer.labels, logits).mean(dim=(-2, -1)),
            [eps],
        )
