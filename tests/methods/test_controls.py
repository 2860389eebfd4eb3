"""Methods in no table: constants by region, a refined grid, a controller that sees more."""

from __future__ import annotations

import pytest
import torch

from autoloss.config import LossOptions
from autoloss.errors import ConfigError
from autoloss.methods.fixed import BudgetSpentError
from autoloss.methods.load import load
from autoloss.task import Task

FIELDS = {"where": 3, "what": 5}
IDS = torch.tensor([[2, 0], [1, 4], [2, 1]])
LABELS, LOGITS = torch.tensor([1, 0, 0]), torch.tensor([0.5, -1.0, 2.0])


def method(name, **options):
    return load(name)(Task(2), LossOptions(), options, fields=FIELDS)


def test_constants_are_others_in_the_region():
    inside, outside = [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]
    own = method("constant", weights=outside, inside=inside, field="where", ids=[2])
    loss, weights = own.weigh(own.examples(IDS, LABELS, LOGITS), 0)
    torch.testing.assert_close(weights, torch.tensor([inside, outside, inside]))
    losses = own.candidates(LABELS, LOGITS)
    expected = (losses[0, 2] + losses[1, 3] + losses[2, 2]) / 3
    torch.testing.assert_close(loss, expected)


def test_without_a_region_they_are_the_same_everywhere():
    own = method("constant", weights=[0.5, 0.0, 0.0, 0.5])
    loss, weights = own.weigh(own.examples(None, LABELS, LOGITS), 0)
    assert weights.tolist() == [[0.5, 0.0, 0.0, 0.5]] * 3
    torch.testing.assert_close(loss, own.candidates(LABELS, LOGITS)[:, [0, 3]].mean())
    equal = method("constant")
    assert equal.weights(own.examples(None, LABELS, LOGITS), None).tolist() == [[0.25] * 4] * 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": [0.5, 0.5]}, "give 4 weights"),
        ({"inside": [1.0, 0.0, 0.0, 0.0], "field": "wher"}, "did you mean 'where'"),
    ],
)
def test_constants_that_cannot_be_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        method("constant", **options)


class Bowl:
    """A lab whose value is best at (0.6, 0.4), and which pays for so many points."""

    candidates, trials, space = ("a", "b"), 3, {}
    max_epochs = 1

    def __init__(self, points):
        self.points, self.tried = points, []

    def train(self, assignment, epochs=None):
        point = tuple(assignment["method.weights"])
        if point not in self.tried:
            if len(self.tried) == self.points:
                raise BudgetSpentError
            self.tried.append(point)
        return -((point[0] - 0.6) ** 2)


def test_a_grid_is_refined_around_its_best_point_until_the_budget_is_spent():
    lab = Bowl(points=9)
    with pytest.raises(BudgetSpentError):
        load("refined_grid").search(lab)
    assert lab.tried[:3] == [(0.5, 0.5), (1.0, 0.0), (0.0, 1.0)]  # grid's
    assert all(sum(point) == 1 and min(point) >= 0 for point in lab.tried)
    best = min(lab.tried, key=lambda point: abs(point[0] - 0.6))
    assert abs(best[0] - 0.6) < 0.05
    free = Bowl(points=1000)
    load("refined_grid").search(free)  # ends by itself, at steps within noise
    assert min(abs(point[0] - 0.6) for point in free.tried) < 1 / 64


def test_a_controller_that_sees_features_tells_examples_apart_that_are_alike():
    alike = torch.zeros(3)
    own, plain = method("autoloss_seeing", sees="features"), method("autoloss")
    labels = torch.ones(3, dtype=torch.int64)
    for controller, differs in ((own, True), (plain, False)):
        controller.eval()
        with torch.no_grad():
            found = controller.scores(controller.examples(IDS, labels, alike))
        assert torch.equal(found[0], found[1]) != differs


def test_a_controller_that_sees_losses_sends_no_gradient_through_them():
    own = method("autoloss_seeing", hidden=(8,), dropout=0.0)
    logits = LOGITS.clone().requires_grad_()
    assert not own.weights(own.examples(IDS, LABELS, logits), own.draw(0, "inner")).requires_grad
    assert own.weighting.net[0].linear.weight.shape == (8, 2 + 4)  # (y, y_hat) and four losses
