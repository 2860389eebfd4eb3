"""What the tuned protocol searches of every method: all that matters, and nothing that does not."""

from __future__ import annotations

from contextlib import suppress
from functools import cache

import pytest
import torch

from autoloss.config import overlay
from autoloss.folder import entries
from autoloss.methods.discover import discover
from autoloss.methods.fixed import BudgetSpentError, Searched
from autoloss.methods.load import load
from autoloss.methods.options import LEARNING, loss_options_of, options_of, untuned_of
from autoloss.search.tuning import tune
from autoloss.study.study import Study
from autoloss.training.loop import Trainer
from tests.tiny import ROOT, tiny_config, with_needs

METHODS = discover()
SHARED = {"training.lr", "training.weight_decay"}
CONSTANTS = {"losses.focal_gamma", "losses.kl_smoothing", "losses.hinge_on"}
# What methods have of their own: those of the paper, and those that take a key out.
OWN = {
    "ce": set(),
    "bohb": set(),
    "slf": {"lr", "tau_slope"},
    "melu": {"lr", "every", "xi_over_lr"},
    "darts": {"lr", "every", "xi_over_lr", "weight_decay"},
    "darts_first": {"lr", "every", "weight_decay"},
    "al2": {"lr", "every", "xi_over_lr"},
    "autoloss": {"lr", "every", "xi_over_lr", "tau_slope"},
    "autoloss_ce": {"lr", "every", "xi_over_lr", "tau_slope"},
    "autoloss_direct": {"lr", "every", "tau_slope"},
    "autoloss_frozen": {"tau_slope"},
    "slf_frozen": {"tau_slope"},
    "darts_ce": {"lr", "every", "xi_over_lr", "weight_decay"},
    "melu_mixture": {"lr", "every", "xi_over_lr"},
    "melu_published": {"every"},
}

every_method = pytest.mark.parametrize("name", METHODS)


def tuned(**keys):
    return Study(overlay(tiny_config(), {"protocol": "tuned", **keys}, "test"), ROOT)


STUDY = tuned()


@cache
def study_of(name):
    """The study, its candidates those that a method needs too."""
    return Study(with_needs(STUDY.config, name), ROOT)


def final(name, assignment, data):
    """The model after three epochs: DWA's weights change with the third."""
    config = study_of(name).with_assignment(name, assignment, "test").config
    run = Trainer(config, data, "deepfm", load(name), 0)
    for _ in range(3):
        run.run_epoch()
    return torch.cat([value.flatten().double() for value in run.model.state_dict().values()])


@every_method
def test_every_dimension_changes_what_is_trained(name, tiny):
    """V learns fast and at each step here, so that in a few steps V's weight decay can matter."""
    space = study_of(name).search_space(name)
    fast = {"method.every": 1, "method.lr": space.get("method.lr", (0,))[-1]}
    base = {**study_of(name).published(name), **{k: v for k, v in fast.items() if k in space}}
    usual = final(name, base, tiny["binary"])
    for key, (kind, *values) in space.items():
        others = [value for value in values if value != base[key]]
        for other in others if kind == "choice" else others[-1:]:
            changed = final(name, {**base, key: other}, tiny["binary"])
            assert not torch.equal(changed, usual), (key, other)


@every_method
def test_every_option_is_searched_or_there_is_a_reason(name):
    entry, space = METHODS[name], study_of(name).search_space(name)
    options, reasons = options_of(entry.info, {}, METHODS), untuned_of(entry.info, METHODS)
    assert all(reason.strip() for reason in reasons.values())
    reasoned = {*reasons, *(LEARNING if entry.info.frozen else ())}
    reasoned |= {"xi_over_lr"} if options.get("hypergradient") == "direct" else set()
    own = {key for key in options if f"method.{key}" in space}
    assert own == {*options} - reasoned
    weighed = entry.needs or STUDY.config.losses.candidates
    constants = {f"losses.{k}" for loss in weighed for k in entries("losses")[loss].options}
    constants -= {f"losses.{key}" for key in loss_options_of(entry.info, METHODS)}
    assert {*space} == SHARED | constants | {f"method.{key}" for key in own}


@every_method
def test_what_sets_a_variant_apart_is_not_searched(name):
    """Tuned, it would be its base under another name."""
    info = METHODS[name].info
    searched = {key.removeprefix("method.") for key in STUDY.search_space(name)}
    assert not searched & {*(info.options if info.base else ())} - {*info.tune}


@pytest.mark.parametrize("name", OWN)
def test_the_space_of_a_method_is_what_it_has(name):
    constants = set() if name == "ce" else CONSTANTS
    own = {f"method.{key}" for key in OWN[name]}
    assert {*STUDY.search_space(name)} == SHARED | constants | own


def test_a_fixed_loss_has_its_own_constant_alone():
    for name, constant in (("focal", "focal_gamma"), ("kl", "kl_smoothing"), ("hinge", "hinge_on")):
        assert {*STUDY.search_space(name)} == {*SHARED, f"losses.{constant}"}
    few = tuned(losses={"candidates": ["focal", "ce"]})
    assert {*few.search_space("al1")} == {*SHARED, "losses.focal_gamma"}


def test_what_a_variant_or_the_configuration_settles_is_in_no_space():
    everything = {*STUDY.search_space("autoloss")}
    gone = {
        "autoloss_every_3": {"method.every"},
        "autoloss_under_hinge_logit": {"losses.hinge_on"},
        "autoloss_under_xi_zero": {"method.xi_over_lr"},
        "autoloss_under_criterion_ce": set(),
    }
    for variant, keys in gone.items():
        assert everything - {*STUDY.search_space(variant)} == keys
    direct = tuned(methods={"darts": {"hypergradient": "direct"}})
    assert "method.xi_over_lr" not in direct.search_space("darts")
    flat = tuned(methods={"slf": {"tau_slope": 0.0}})
    assert "method.tau_slope" not in flat.search_space("slf")


def test_a_slope_is_searched_in_its_own_unit_and_a_published_value_is_a_choice():
    other = tuned(methods={"autoloss": {"tau_slope": 0.5, "every": 5}})
    space = other.search_space("autoloss")
    assert space["method.tau_slope"] == ("log", 0.05, 5.0)
    assert space["method.every"] == ("choice", 1, 3, 7, 13, 5)


def test_the_published_protocol_searches_nothing_but_weights():
    published = tuned(protocol="published")
    assert not any(published.search_space(name) for name in METHODS)
    assert published.published("bohb") == {"method.weights": [0.25] * 4}


class Lab:
    """Trains nothing: a trial is as good as its learning rate is small; 60 epochs for all."""

    max_epochs, seed, trials = 3, 0, 20

    def __init__(self, name):
        study = study_of(name)
        self.candidates = study.config.losses.candidates
        self.space, self.published = study.search_space(name), study.published(name)
        self.tried, self.left = [], self.trials * self.max_epochs

    def train(self, assignment, epochs=None):
        self.left -= epochs or self.max_epochs
        if self.left < 0:
            raise BudgetSpentError
        self.tried.append(dict(assignment))
        return -assignment["training.lr"]


@every_method
def test_the_first_trial_has_the_published_values_and_all_vary_every_key(name):
    lab, method = Lab(name), load(name)
    with suppress(BudgetSpentError):
        method.search(lab) if issubclass(method, Searched) else tune(lab)
    usual = tuned(protocol="published").settings(name)
    first, n = {**lab.tried[0]}, len(lab.candidates)
    if METHODS[name].info.searches:
        assert first.pop("method.weights") == pytest.approx([1 / n] * n)
    parts = [key.partition(".") for key in first]
    assert first == {f"{part}.{key}": usual[part][key] for part, _, key in parts}
    assert all({*trial} == {*lab.tried[0]} for trial in lab.tried)
    assert len(lab.tried) >= lab.trials
    for key in lab.tried[0]:
        assert len({str(trial[key]) for trial in lab.tried}) > 1, key
