"""Methods with other candidates than the paper's four: none names a number of them."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autoloss import losses
from autoloss.config import LossOptions, overlay
from autoloss.errors import ConfigError
from autoloss.registry import discover, load
from autoloss.task import Task
from autoloss.training.loop import Trainer
from autoloss.weighting import Draw
from tests.tiny import tiny_config

MORE = {
    "brier": lambda prediction, options: (2 * prediction.log_rest).exp(),
    "absolute": lambda prediction, options: prediction.log_rest.exp(),
}
SETS = st.lists(st.sampled_from([*losses.LOSSES, *MORE]), min_size=1, max_size=6, unique=True)


@given(SETS, st.sampled_from(list(discover())), st.sampled_from([2, 5]))
@settings(max_examples=40, deadline=None)
def test_any_candidates_are_weighed_one_by_one_or_refused(names, name, classes):
    options, task = LossOptions(candidates=tuple(names)), Task(classes)
    with patch.dict(losses.LOSSES, MORE):
        if set(getattr(load(name), "constant", ())) - set(names):
            with pytest.raises(ConfigError, match=r"losses\.candidates"):
                load(name)(task, options)
            return
        method = load(name)(task, options)
        labels = torch.tensor([0, 1, 1])
        logits = torch.randn(3) if task.binary else torch.randn(3, classes)
        weights = method.weights(labels, logits, Draw(0, torch.Generator()))
        assert weights.shape[-1] == len(names)
        if discover()[name].info.simplex:
            torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
            if len(names) == 1:
                only = method.candidates(labels, logits).mean()
                torch.testing.assert_close(method.loss(labels, logits, 0), only)


@given(SETS, st.sampled_from(list(discover())), st.sampled_from(["binary", "rating"]))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_candidates_train_a_step_under_every_method_that_fits(tiny, names, name, task):
    if set(discover()[name].needs) - set(names):
        return
    config = overlay(tiny_config(), {"losses": {"candidates": names}}, "test")
    with patch.dict(losses.LOSSES, MORE):
        run = Trainer(config, tiny[task], "deepfm", load(name), 0)
        _, weights = run.inner_step()
    assert weights.shape[-1] == len(names)
    if discover()[name].info.simplex:
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


@pytest.mark.parametrize("n", [1, 3, 5, 6])
def test_al1_weighs_all_candidates_alike(n):
    with patch.dict(losses.LOSSES, MORE):
        names = tuple(losses.LOSSES)[:n]
        method = load("al1")(Task(), LossOptions(candidates=names))
        weights = method.weights(torch.empty(0), torch.empty(0), Draw(0, torch.Generator()))
    torch.testing.assert_close(weights, torch.full((n,), 1 / n))
