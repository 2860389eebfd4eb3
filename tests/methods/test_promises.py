"""A method that does not keep its Info's word, or draws as it likes, is told so: no run of it."""

from __future__ import annotations

import random
import re

import numpy as np
import pytest
import torch
from torch import nn

from autoloss.errors import ConfigError, MethodError
from autoloss.methods.contract import Method
from autoloss.methods.info import Info
from autoloss.methods.learned import Joint
from autoloss.task import Task
from autoloss.training.loop import Trainer, TrainingDivergedError
from tests.tiny import SPLITS, tiny_config

N = 4
HERE = re.escape(__file__)
BATCH = 64


def method_of(give, base=Method, **said):
    """A method whose weights are `give(method, examples, draw)`."""

    class Mine(base):
        info = Info(
            **{
                "name": "mine",
                "label": "Mine",
                "summary": "weights as a test has them",
                "paper": "none",
                "weights": "global",
                "learns_on": "nothing",
                "options": {"lr": 0.001},
                **said,
            }
        )
        asked = 0

        def build(self):
            self.weighting = nn.Linear(1, 1)

        def weights(self, examples, draw):
            return give(self, examples, draw)

    return Mine


def run_of(data, give, base=Method, **said):
    return Trainer(tiny_config(), data, "deepfm", method_of(give, base, **said), 0)


def rows(examples, *weights):
    return torch.tensor(weights).expand(len(examples.labels), -1)


def equal(method, examples, draw):
    return torch.full((N,), 1 / N)


WRONG = {
    "nothing": (lambda m, e, d: torch.tensor(0.5), r"weights of shape \[\]"),
    "float": (lambda m, e, d: 0.25, "weights a float"),
    "list": (lambda m, e, d: [0.25] * N, "weights a list"),
    "column": (lambda m, e, d: torch.ones(len(e.labels), 1), r"weights of shape \[64, 1\]"),
    "[B]": (lambda m, e, d: torch.ones(len(e.labels)), r"weights of shape \[64\]"),
    "[n, B]": (lambda m, e, d: torch.ones(N, len(e.labels)), r"weights of shape \[4, 64\]"),
    "[1, n]": (lambda m, e, d: torch.full((1, N), 1 / N), r"weights of shape \[1, 4\]"),
    "integers": (lambda m, e, d: torch.tensor([0, 0, 0, 1]), "weights of torch.int64"),
}


@pytest.mark.parametrize("how", WRONG)
def test_weights_of_another_shape_are_refused_in_a_sentence(how, tiny):
    give, said = WRONG[how]
    expected = r", expected \[4\] or \[64, 4\], of floats"
    with pytest.raises(MethodError, match=rf"^{HERE}: gives {said}{expected}"):
        run_of(tiny["binary"], give).run()


def test_also_where_only_the_last_batch_has_them(tiny):
    last = SPLITS["train"] % BATCH

    def give(method, examples, draw):
        share = torch.full((len(examples.labels), N), 1 / N)
        return share if len(share) == BATCH else share[0]

    run = run_of(tiny["binary"], give, weights="per example")
    with pytest.raises(MethodError, match=r"declares weights='per example', and gives .* \[4\]"):
        run.run()
    assert 0 < last < BATCH
    assert run.progress.steps == SPLITS["train"] // BATCH


def test_in_a_loop_of_ones_own_too():
    method = method_of(WRONG["[1, n]"][0])(Task(2))
    with pytest.raises(MethodError, match=r"expected \[4\] or \[3, 4\]"):
        method.loss(torch.tensor([0, 1, 0]), torch.zeros(3), 0)


UNSAID = {
    "below 0": (lambda m, e, d: torch.tensor([1.5, -0.5, 0, 0]), {}, r"\[1.5, -0.5, 0, 0\], sum 1"),
    "sum 4": (lambda m, e, d: torch.ones(N), {}, r"\[1, 1, 1, 1\], sum 4, in the first step"),
    "one row": (
        lambda m, e, d: torch.cat([rows(e, 1.0, 0, 0, 0)[1:], torch.full((1, N), 0.5)]),
        {"weights": "per example"},
        r"\[0.5, 0.5, 0.5, 0.5\], sum 2",
    ),
    "by example": (
        lambda m, e, d: rows(e, 1.0, 0, 0, 0),
        {},
        r"declares weights='global', and gives weights of shape \[64, 4\]",
    ),
    "for all": (equal, {"weights": "per example"}, "declares weights='per example'"),
    "several": (equal, {"weights": "one candidate"}, "'one candidate', and gives weight to 4"),
}


@pytest.mark.parametrize("how", UNSAID)
def test_weights_that_are_not_what_the_info_says_are_refused_in_the_first_step(how, tiny):
    give, said, problem = UNSAID[how]
    run = run_of(tiny["binary"], give, **said)
    with pytest.raises(MethodError, match=problem):
        run.run()
    assert run.progress.steps == 0


@pytest.mark.parametrize("how", ["below 0", "sum 4"])
def test_the_mend_mends_it(how, tiny):
    assert "test" in run_of(tiny["binary"], UNSAID[how][0], simplex=False).run()


def test_weights_that_leave_the_simplex_later_are_refused_at_the_epochs_end(tiny):
    run = run_of(tiny["binary"], lambda m, e, d: torch.full((N,), (1 + d.t) / N))
    with pytest.raises(MethodError, match="sum 3, in the mean over an epoch"):
        run.run()


def test_the_weights_that_are_observed_are_looked_at(tiny):
    def give(method, examples, draw):
        graph = 0 * method.weighting(torch.ones(1)).sum()
        return rows(examples, 1.0 if method.training else 2.0, 0.0, 0.0, 0.0) + graph

    with pytest.raises(MethodError, match=r"\[2, 0, 0, 0\], sum 2, on the validation split"):
        run_of(tiny["binary"], give, Joint, weights="per example", learns_on="training").run()


@pytest.mark.parametrize(
    ("first", "error", "problem"),
    [
        (0, MethodError, "weights that are not finite in the first step"),
        (3, TrainingDivergedError, "training loss is nan"),  # as of a run that diverges
    ],
)
def test_a_run_whose_weights_are_not_numbers_fails(first, error, problem, tiny):
    def give(method, examples, draw):
        return torch.full((N,), 1 / N if draw.t < first else float("nan"))

    with pytest.raises(error, match=problem):
        run_of(tiny["binary"], give).run()


def from_a_generator_of_its_own(method, examples, draw):
    if "own" not in vars(method):
        method.own = torch.Generator()
        method.own.seed()
    return torch.rand(N, generator=method.own).softmax(dim=0)


def by_how_often_it_is_asked(method, examples, draw):
    method.asked += 1
    return torch.tensor([method.asked, 0.0, 0.0, 0.0]).softmax(dim=0)


def by_entropy(method, examples, draw):
    return torch.from_numpy(np.random.default_rng().random(N)).float().softmax(dim=0)


@pytest.mark.parametrize(
    "give", [from_a_generator_of_its_own, by_how_often_it_is_asked, by_entropy]
)
def test_weights_that_differ_when_asked_for_again_are_refused_in_the_first_step(give, tiny):
    run = run_of(tiny["binary"], give)
    with pytest.raises(MethodError, match="gives other weights when it is asked again") as error:
        run.run()
    assert run.progress.steps == 0
    assert "uniform(draw.seed(0), like)" in error.value.mend


@pytest.mark.parametrize(
    ("number", "whose"),
    [(lambda: np.random.rand(), "numpy's global"), (lambda: random.random(), "Python's `random`")],
)
def test_a_draw_from_numpys_or_pythons_generator_is_refused_at_its_line(number, whose, tiny):
    def give(method, examples, draw):
        share = number()
        return torch.tensor([share, 1 - share, 0, 0])

    line = number.__code__.co_firstlineno
    with pytest.raises(ConfigError, match=rf"^{HERE}:{line}: draws from .*{whose}"):
        run_of(tiny["binary"], give).run()


def test_to_ask_again_moves_nothing_of_a_method(tiny):
    """It keeps count in a buffer and in an attribute, of which the weights are no function."""

    def give(method, examples, draw):
        method.asked += 1
        method.weighting.bias.data += 1
        return equal(method, examples, draw)

    run = run_of(tiny["binary"], give)
    before = run.method.weighting.bias.item()
    run.inner_step()
    assert run.method.asked == 1
    assert run.method.weighting.bias.item() == pytest.approx(before + 1)
