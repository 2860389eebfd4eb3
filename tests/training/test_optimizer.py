"""The optimizer's step looked ahead at, against the step itself."""

from __future__ import annotations

import pytest
import torch

from autoloss.functional import decision_layers
from autoloss.methods.load import load
from autoloss.seeds import Draw
from autoloss.task import Task
from autoloss.training.loop import Trainer
from tests.tiny import tiny_config
from tests.unit.problems import make_adam, make_batch, make_model

EVERY_KIND = pytest.mark.parametrize(
    "training",
    [
        {"table_updates": "dense"},
        {"table_updates": "deferred"},
        {"weight_decay": 0.3},
        {"weight_decay": 0.3, "decoupled_weight_decay": True, "table_updates": "dense"},
        {"weight_decay": 0.3, "decoupled_weight_decay": True, "table_updates": "deferred"},
    ],
    ids=["dense", "deferred", "L2", "decoupled", "decoupled, deferred"],
)


class Looked:
    """A model opened on a training and a validation batch, its optimizer some steps old."""

    def __init__(self, steps, training, dtype=torch.float64, name="deepfm"):
        task = Task()
        self.model = make_model(name, task).to(dtype)
        self.adam, _ = make_adam(self.model, task, steps=steps, **training)
        batches = [make_batch(task, n, seed=n) for n in (6, 8)]
        self.opened = self.adam.open(self.model, [batch.ids for batch in batches])
        self.params = self.opened.params
        loss = self.opened.current(Draw(0, 1)).square().mean()
        slopes = torch.autograd.grad(loss, list(self.params.values()))
        self.gradients = dict(zip(self.params, slopes, strict=True))

    def after_the_step(self):
        """W as the real step leaves it, of tables the rows that were opened."""
        self.adam.step(self.gradients)
        self.adam.settle()
        return {
            name: value[self.opened.rows] if name in self.opened.tables else value
            for name, value in self.model.named_parameters()
        }


@EVERY_KIND
@pytest.mark.parametrize("steps", [0, 1, 5])
@pytest.mark.parametrize(
    ("dtype", "rtol", "atol"), [(torch.float64, 1e-12, 1e-14), (torch.float32, 1e-6, 2e-7)]
)
def test_the_step_looked_at_is_the_step_that_is_taken(steps, training, dtype, rtol, atol):
    look = Looked(steps, training, dtype)
    before = {name: value.detach().clone() for name, value in look.params.items()}
    ahead = look.adam.advance(look.params, look.gradients, look.adam.lr)
    for name, value in look.params.items():
        assert torch.equal(value, before[name])  # nothing is moved by looking
    for name, value in look.after_the_step().items():
        torch.testing.assert_close(ahead[name], value, rtol=rtol, atol=atol)
        assert not torch.equal(value, before[name])


@EVERY_KIND
def test_rows_that_validation_alone_reads_move_by_their_momentum(training):
    look = Looked(5, training)
    rows = look.gradients["embedding.weight"].abs().sum(dim=1) == 0
    ahead = look.adam.advance(look.params, look.gradients, look.adam.lr)
    start = look.params["embedding.weight"]
    moved = (ahead["embedding.weight"] - start).abs().sum(dim=1) > 1e-3
    assert (rows & moved).sum() >= 3


def test_of_the_decision_layers_alone_it_is_the_same():
    look = Looked(5, {"table_updates": "deferred"})
    everything = look.adam.advance(look.params, look.gradients, look.adam.lr)
    layers = decision_layers(look.model)
    some = {name: value for name, value in look.params.items() if name in layers}
    ahead = look.adam.advance(some, {name: look.gradients[name] for name in some}, look.adam.lr)
    assert ahead.keys() == layers
    assert all(torch.equal(value, everything[name]) for name, value in ahead.items())


@EVERY_KIND
def test_twice_the_rate_is_twice_the_step(training):
    look = Looked(5, training)
    once, twice = (look.adam.advance(look.params, look.gradients, k * look.adam.lr) for k in (1, 2))
    for name, value in look.params.items():
        torch.testing.assert_close(twice[name] - value, 2 * (once[name] - value))


@pytest.mark.parametrize("updates", ["dense", "deferred"])
@pytest.mark.parametrize("estimator", ["exact", "finite_difference"])
@pytest.mark.parametrize("name", ["autoloss", "darts", "melu", "meta_weight_net"])
def test_a_run_looks_ahead_by_it(tiny, name, estimator, updates):
    """Batches of 8 leave most rows out. V moves otherwise than along the gradient's own step."""

    def after(look_ahead):
        config = tiny_config(batch_size=8, table_updates=updates)
        run = Trainer(config, tiny["rating"], "deepfm", load(name), 0)
        run.method.options |= {"look_ahead": look_ahead, "hypergradient": estimator}
        for _ in range(16):
            run.inner_step()
        return torch.cat([p.detach().flatten() for p in run.method.parameters()])

    by_optimizer, by_gradient = after("optimizer"), after("gradient")
    assert torch.isfinite(by_optimizer).all()
    assert not torch.equal(by_optimizer, by_gradient)
