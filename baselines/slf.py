"""SLF (Liu & Lai, Stochastic Loss Function, AAAI 2020), the paper's per-example baseline (§3.4).

A decision network gives every example a *selection code* - one gate per candidate, drawn by
independent (multiple) Gumbel-softmax, so that several losses may be on at once - and a *weighting
coefficient* per candidate. It is trained by back-propagation with the model, on the same training
batch. With gate logit s, coefficient c and logistic noise L (the difference of two Gumbel draws):

    gate_i = sigmoid((s_i + L_i) / tau)        p_i = gate_i exp(c_i) / sum_j gate_j exp(c_j)

Deviations. SLF-style: only the abstract and secondary accounts of the original could be read. Gates
by multiple Gumbel-softmax and joint training are from there, coefficients beside them from §4.1 of
the AutoLoss paper; the formula above is ours. The network's input here is (y, y_hat), its size the
controller's, its temperature AutoLoss' schedule, its learning rate the model's. The weights are
normalised: with all gates shut the loss would be 0, which joint training would find.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from autoloss.methods.info import Info
from autoloss.methods.learned import Joint
from autoloss.methods.weighting import Controller, Temperature
from autoloss.ops.random import gumbel
from autoloss.seeds import Draw


@dataclass(frozen=True)
class Gates:
    """Scores `[B, 2n]`, gate logits then coefficients, to weights `[B, n]`."""

    temperature: Temperature

    def log_gates(self, logits: Tensor, draw: Draw) -> Tensor:
        """log of the relaxed gates, of the shape of `logits`; stable where a gate is shut."""
        *stack, batch, n = logits.shape
        first, second = gumbel(draw.seed(0), logits.new_empty(*stack, 2, batch, n)).unbind(dim=-3)
        noise = first - second
        return F.logsigmoid((logits + noise) / self.temperature(draw.t))

    def __call__(self, scores: Tensor, draw: Draw) -> Tensor:
        """The weights."""
        logits, coefficients = scores.chunk(2, dim=-1)
        return (self.log_gates(logits, draw) + coefficients).softmax(dim=-1)


class SLF(Joint):
    """Gates and coefficients per example, learned on the training batch."""

    info = Info(
        name="slf",
        label="SLF-style",
        summary="per-example Gumbel gates and coefficients, from its abstract; trained jointly",
        paper="Liu & Lai, Stochastic Loss Function, AAAI 2020",
        fidelity=(
            (
                "data",
                "§3.4",
                "the decision network learns on the model's training batch",
                "as written",
                "the same",
                "B4",
            ),
            (
                "selection",
                "SLF, abstract",
                "codes by multiple Gumbel-softmax, several losses at once",
                "original's way",
                "a gate per candidate",
                "B4",
            ),
            (
                "coefficients",
                "SLF, second-hand",
                "a weight for each selected loss",
                "original's way",
                "the same",
                "B4",
            ),
            (
                "sum of the weights",
                "SLF, second-hand",
                "not said",
                "our reading",
                "1: else training with the model shuts every gate",
                "B4",
            ),
            (
                "input, size, temperature",
                "SLF, second-hand",
                "not said",
                "our reading",
                "as AutoLoss' controller",
                "B4",
            ),
        ),
        weights="per example",
        learns_on="training",
        options={
            "lr": 0.001,
            "hidden": (128, 128),
            "dropout": 0.2,
            "tau_start": 1.0,
            "tau_slope": 0.00005,
            "tau_floor": 0.01,
            "tau_unit": "step",
        },
        choices={"tau_unit": ("step", "epoch")},
        tune={"lr": ("log", 0.0001, 0.01), "tau_slope": ("times", 0.1, 10.0)},
    )

    def build(self) -> None:
        """The decision network, with two outputs per candidate."""
        o = self.options
        self.weighting = Controller(
            self.task,
            2 * len(self.candidates),
            hidden=o["hidden"],
            dropout=o["dropout"],
            detach=True,
        )
        self.relaxation = Gates(Temperature.of(o, self.steps_per_epoch))
