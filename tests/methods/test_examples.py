"""What weights may depend on beside labels and logits: ids, fields, the losses' values."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import grad
from torch.func import functional_call

from autoloss.candidates import CandidateLosses
from autoloss.errors import ConfigError
from autoloss.layers.dropout import drawing, dropouts
from autoloss.methods.info import Info
from autoloss.methods.learned import Learned
from autoloss.methods.load import load
from autoloss.methods.weighting import softmax
from autoloss.seeds import Draw
from autoloss.task import Task
from autoloss.training.loop import Trainer
from tests.tiny import FIELD_SIZES, tiny_config
from tests.unit import problems
from tests.unit.problems import make_batch

LR, XI = 0.05, 30.0  # of V, and of the look-ahead, long enough for its second order to matter


class ByUser(Learned):
    """A score for each user and candidate, learned on validation batches, every second step."""

    info = Info(
        name="by_user",
        label="By user",
        summary="test",
        paper="none",
        weights="per example",
        learns_on="validation",
        options={
            "every": 2,
            "lr": LR,
            "xi_over_lr": XI,
            "hypergradient": "exact",
            "criterion": "mixture",
        },
    )

    def build(self):
        self.weighting = nn.Embedding(self.fields["f1"], len(self.candidates))
        nn.init.zeros_(self.weighting.weight)
        self.relaxation = softmax

    def scores(self, examples):
        return self.weighting(examples.ids[:, list(self.fields).index("f1")])


class Plain:
    """The same by torch alone: whole tables, double backward, torch's Adam, in float64."""

    def __init__(self, run):
        self.run, self.model = run, copy.deepcopy(run.model)
        self.v = torch.zeros(FIELD_SIZES[1], 4, dtype=torch.float64, requires_grad=True)
        self.w = {k: p.detach().clone().requires_grad_() for k, p in self.model.named_parameters()}
        self.adam_w = torch.optim.Adam(self.w.values(), lr=run.options.lr)
        self.adam_v = torch.optim.Adam([self.v], lr=LR)

    def mixture(self, w, batch, t, role):
        buffers = {name: value.clone() for name, value in self.model.named_buffers()}
        with drawing(dropouts(self.model), Draw.of(t, 0, "dropout", role)):
            logits = functional_call(self.model, {**w, **buffers}, (batch.ids,))
        p = self.v[batch.ids[:, 1]].softmax(-1)
        losses = self.run.method.candidates.by_torch(batch.labels, logits)
        return (p * losses).sum(-1).mean()

    def step(self, t):
        batch, rate = self.run.train.batch(t), self.run.options.lr
        if t and t % 2 == 0:
            slope = grad(
                self.mixture(self.w, batch, t, "inner"), self.w.values(), create_graph=True
            )
            ahead = {k: w - XI * rate * g for (k, w), g in zip(self.w.items(), slope, strict=True)}
            outer = self.run.validation.batch(t // 2 - 1)
            (self.v.grad,) = grad(self.mixture(ahead, outer, t, "outer"), [self.v])
            self.adam_v.step()
        gradients = grad(self.mixture(self.w, batch, t, "inner"), self.w.values())
        for parameter, gradient in zip(self.w.values(), gradients, strict=True):
            parameter.grad = gradient
        self.adam_w.step()


@pytest.mark.parametrize("task", ["binary", "rating"])
def test_weights_by_user_are_learned_as_a_plain_loop_learns_them(task, tiny):
    run = Trainer(tiny_config(), tiny[task], "deepfm", ByUser, 0)
    run.model.double().train(), run.method.double().train()
    assert run.method.fields == dict(zip(("f0", "f1", "f2"), FIELD_SIZES, strict=True))
    plain = Plain(run)
    for t in range(7):
        run.inner_step()
        plain.step(t)
    v = run.method.weighting.weight.detach()
    assert run.progress.outer_steps == 3
    assert (v.abs().amax(dim=1) > LR / 2).all()  # every user's scores have moved
    torch.testing.assert_close(v, plain.v.detach(), rtol=1e-6, atol=1e-9)
    for name, value in run.model.named_parameters():
        torch.testing.assert_close(value, plain.w[name], rtol=1e-6, atol=1e-8)


def test_the_choice_after_an_epoch_is_of_the_validation_splits_own_ids(tiny):
    run = Trainer(tiny_config(validation="halves"), tiny["binary"], "deepfm", ByUser, 0)
    run.method.weighting.weight.data = torch.randn(FIELD_SIZES[1], 4)
    run.method.before_step = lambda step: False
    run.run_epoch()
    (choice,) = run.progress.choices
    users = tiny["binary"].split("validation")[0][1::2, 1].astype(int)
    shares = run.method.weighting.weight[users].softmax(-1).mean(0).tolist()
    counts, weights = np.array(choice["counts"]), np.array(choice["weights"])
    seen = (counts[..., None] * weights).sum(axis=(0, 1)) / counts.sum()
    assert seen == pytest.approx(shares, abs=1e-5)


def test_without_fields_or_ids_the_mend_is_said_and_works():
    task, sizes = Task(), dict(zip(("f0", "f1", "f2", "f3"), problems.FIELD_SIZES, strict=True))
    with pytest.raises(ConfigError, match=r"ByUser: (?s:.)*fields=\{name: size"):
        ByUser(task)
    method = ByUser(task, fields=sizes)
    batch, logits = make_batch(task, 9, seed=0), torch.zeros(9)
    with pytest.raises(ConfigError, match=r"method\.loss\(labels, logits, t, ids=batch\.ids\)"):
        method.loss(batch.labels, logits, 0)
    assert method.loss(batch.labels, logits, 0, ids=batch.ids) > 0


@pytest.mark.parametrize(("name", "times"), [("meta_weight_net", 1), ("dwa", 1), ("ce", 0)])
def test_the_losses_are_computed_once_for_weights_and_mixture_or_not_at_all(
    name, times, monkeypatch
):
    """A fixed loss alone has a function of its own for what it uses."""
    method, calls = load(name)(Task()), []
    values = CandidateLosses.__call__

    def counted(self, labels, logits):
        calls.append(self)
        return values(self, labels, logits)

    monkeypatch.setattr(CandidateLosses, "__call__", counted)
    labels, logits = torch.tensor([0, 1, 1]), torch.randn(3, requires_grad=True)
    loss, _ = method.weigh(method.examples(None, labels, logits), t=0)
    assert len([c for c in calls if c is method.candidates]) == times
    assert grad(loss, logits)[0].abs().sum() > 0
