"""Code of a reader that is right of one run and wrong of a stack is refused before it trains."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from autoloss.errors import ConfigError
from autoloss.layers.embedding import FieldEmbedding
from autoloss.methods.contract import Method
from autoloss.methods.info import Info
from autoloss.methods.learned import Joint, Learned
from autoloss.seeds import derive_seed
from autoloss.training.loop import Trainer
from autoloss.training.rehearsal import rehearsed_steps
from autoloss.training.stack import Stack
from tests.unit import stacks
from tests.unit.stacks import small

SAID = {
    **{"name": "mine", "label": "Mine", "summary": "as a test has it", "paper": "none"},
    **{"weights": "global", "learns_on": "nothing", "options": {"lr": 0.01}},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return stacks.splits(tmp_path_factory.mktemp("splits"), 2, runs=4)


def stack_of(data, method, **how):
    runs = zip(data, range(len(data)), strict=True)
    config = small("ce", batch_norm=False)
    return Stack([Trainer(config, own, "deepfm", method, s, in_stack=True) for own, s in runs])


class Weighs(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.ones(4))

    def forward(self, labels, logits):
        given = torch.stack((labels, logits, -logits, 0 * logits), dim=-1)
        return given * self.slope.unsqueeze(-2)


class Fine(Joint):
    """Weights by example, learned with the model."""

    info = Info(**{**SAID, "weights": "per example", "learns_on": "training"})

    def build(self):
        self.weighting = Weighs()
        self.relaxation = lambda scores, draw: scores.softmax(dim=-1)


class Bound(Fine):
    """A function that is bound to the method that made it, and so to one run's."""

    def build(self):
        super().build()

        def relaxation(scores, draw):
            return (scores * self.weighting.slope.unsqueeze(-2)).softmax(dim=-1)

        self.relaxation = relaxation


class Scalar(Fine):
    """A parameter without a dimension: of four runs it is spread over four candidates."""

    def build(self):
        super().build()
        self.scale = nn.Parameter(torch.ones(()))
        self.relaxation = lambda scores, draw: scores.softmax(dim=-1)

    def weights(self, examples, draw):
        return (self.scores(examples) * self.scale).softmax(dim=-1)

    def inner_parameters(self):
        return [*self.weighting.parameters(), self.scale]

    def after_step(self):
        self.scale.data -= 0.1 * self.scale.grad
        return super().after_step()

    def kind(self, t):
        return 0


class OfSizes(Fine):
    """Something of the fields' sizes, which are others in other splits."""

    def weights(self, examples, draw):
        many = sum(self.fields.values())
        return (self.scores(examples) * (many / 20)).softmax(dim=-1)


class Steps(Method):
    """A buffer that is made anew before each step, of this batch."""

    info = Info(**SAID)

    def build(self):
        self.register_buffer("current", torch.full((4,), 0.25), persistent=False)

    def weights(self, examples, draw):
        return self.current

    def kind(self, t):
        return 0

    def before_step(self, step):
        self.current = self.made(step.batch.labels)
        return True

    def made(self, labels):
        share = labels.to(self.current).mean(dim=-1, keepdim=True)
        return torch.cat((share, 1 - share, 0 * share, 0 * share), dim=-1)


class Mixes(Steps):
    """Of the labels of all runs."""

    def made(self, labels):
        share = labels.to(self.current).mean()
        made = torch.stack((share, 1 - share, 0 * share, 0 * share))
        return made.expand(*labels.shape[:-1], 4)


class Hidden(Steps):
    """What moves is no buffer: what is observed of a run does not have it."""

    def kind(self, t):
        return 0

    def build(self):
        self.kept = torch.full((4,), 0.25)

    def weights(self, examples, draw):
        return self.kept.to(examples.logits)

    def before_step(self, step):
        share = step.batch.labels.to(self.kept).mean(dim=-1, keepdim=True)
        self.kept = torch.cat((share, 1 - share, 0 * share, 0 * share), dim=-1)
        return True


class Seeded(Steps):
    """A draw by the run's seed as a number."""

    def made(self, labels):
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "mine"))
        return torch.rand(*labels.shape[:-1], 4, generator=generator).softmax(dim=-1)


class Clips(Fine):
    """Gradients whose norm is over all that there is."""

    def after_step(self):
        nn.utils.clip_grad_norm_(self.weighting.parameters(), 1e-4)
        for parameter in self.weighting.parameters():
            parameter.data -= parameter.grad
        return False

    def kind(self, t):
        return 0


@pytest.mark.parametrize("method", [Fine, Steps])
def test_what_is_right_of_both_trains(method, data):
    stack = stack_of(data, method)
    stack.run_epoch()
    assert not stack.failures


@pytest.mark.parametrize("method", [Bound, Scalar, OfSizes, Mixes, Hidden, Seeded, Clips])
def test_what_takes_one_runs_for_anothers_is_refused(method, data):
    with pytest.raises(ConfigError, match=r"training.stack.* not in a stack what it is alone"):
        stack_of(data, method)


class Gated(nn.Module):
    """A branch that counts its dimensions from the front, behind a gate that is shut at first."""

    def __init__(self, sizes):
        super().__init__()
        self.table = FieldEmbedding(sizes, 4)
        self.gate = nn.Parameter(torch.zeros(1))

    def forward(self, ids):
        rows = self.table(ids).sum(dim=(-2, -1))
        return rows + self.gate * (rows - rows.mean(dim=0))


def test_of_a_model_too_also_where_only_its_gradients_tell(data, monkeypatch):
    monkeypatch.setattr("autoloss.training.loop.build_model", lambda n, sizes, *how: Gated(sizes))
    with pytest.raises(ConfigError, match=r"not in a stack what it is alone \(.*gate has other"):
        stack_of(data, Fine)


def test_steps_of_each_kind_are_rehearsed():
    class Seventh(Learned):
        def kind(self, t):
            return t % 7 == 6

        def __init__(self):
            pass

    assert rehearsed_steps(Seventh()) == [0, 1, 6, 7]


def test_it_leaves_the_runs_as_they_were(data):
    """And torch's default precision."""
    stack = stack_of(data, Fine)
    fresh = Trainer(small("ce", batch_norm=False), data[1], "deepfm", Fine, 1, in_stack=True)
    for name, value in fresh.model.state_dict().items():
        assert torch.equal(stack.runs[1].model.state_dict()[name], value)
    assert torch.get_default_dtype() == torch.float32
