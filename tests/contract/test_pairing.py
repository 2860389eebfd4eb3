"""Seeds pair across methods: at one seed all share initialisation, batches and dropout masks."""

from __future__ import annotations

import torch

from autoloss.methods.fixed import FixedWeights
from autoloss.methods.info import Info
from autoloss.methods.learned import Learned
from autoloss.methods.load import load
from autoloss.methods.weighting import GlobalLogits
from autoloss.training.loop import Trainer
from tests.tiny import tiny_config


class BusyCE(Learned):
    """Cross-entropy, with outer steps on validation that change nothing the model sees."""

    info = Info(
        name="busy_ce",
        label="busy",
        summary="test",
        paper="none",
        weights="global",
        learns_on="validation",
        options={
            "every": 2,
            "lr": 0.1,
            "xi_over_lr": 1.0,
            "hypergradient": "exact",
            "criterion": "mixture",
        },
    )

    def build(self):
        self.weighting = GlobalLogits(len(self.candidates))
        self.relaxation = lambda scores, draw: (
            scores.softmax(-1) * 0 + torch.eye(len(scores))[self.candidates.names.index("ce")]
        )


class SlowStarter(FixedWeights):
    """Cross-entropy that draws from torch's generator when it is built."""

    info = Info("slow", "slow", "test", "none", "one candidate", "nothing")
    constant = {"ce": 1.0}

    def build(self):
        torch.rand(100)
        super().build()


def test_outer_steps_and_construction_leave_the_models_randomness_alone(tiny):
    """In double precision: a step with an outer one sums embeddings' gradients in another order."""
    trained = []
    for method in (load("ce"), SlowStarter, BusyCE):
        run = Trainer(tiny_config(), tiny["binary"], "deepfm", method, 0)
        run.model.double()
        run.run()
        trained.append(run.model.state_dict())
    plain, slow, busy = trained
    torch.testing.assert_close(slow, plain, rtol=0, atol=0)
    torch.testing.assert_close(busy, plain, rtol=1e-6, atol=1e-9)


def test_the_model_and_the_first_batch_are_those_of_every_method(tiny):
    runs = [
        Trainer(tiny_config(), tiny["rating"], "ipnn", load(name), 5) for name in ("ce", "autoloss")
    ]
    for a, b in zip(*(run.model.state_dict().values() for run in runs), strict=True):
        assert torch.equal(a, b)
    for k in range(7):
        first, second = (run.train.batch(k) for run in runs)
        assert torch.equal(first.ids, second.ids)
        assert torch.equal(first.labels, second.labels)
