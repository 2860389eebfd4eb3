"""The examples train, with the libraries that they show or, where these are not, stand-ins."""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from autoloss import AutoLoss
from tests.tiny import ROOT

# What each needs beside torch.
EXAMPLES = {"plain_torch": None, "torchfm_deepfm": "torchfm", "lightning_module": "lightning"}


@pytest.fixture
def example(monkeypatch):
    """The names of an example's file, once it has been run; and what its `main` gave."""
    libraries = {name for name in EXAMPLES.values() if name and find_spec(name) is None}
    if libraries:
        monkeypatch.syspath_prepend(Path(__file__).with_name("standins"))

    def run(name):
        with torch.random.fork_rng():
            names = runpy.run_path(str(ROOT / "examples" / f"{name}.py"))
            return names, *names["main"]()

    yield run
    for module in [name for name in sys.modules if name.split(".")[0] in libraries]:
        del sys.modules[module]


def test_there_is_no_other_example():
    assert {file.stem for file in (ROOT / "examples").glob("*.py")} == {*EXAMPLES}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_trains_model_and_controller(name, example):
    _, losses, auto = example(name)
    assert losses == sorted(losses, reverse=True)
    fresh = AutoLoss(auto.method.task).weighting.state_dict()
    learned = auto.method.weighting.state_dict()
    assert any(not torch.equal(fresh[key], learned[key]) for key in fresh)
    assert auto.steps == 3 * 40


def test_the_module_of_lightning_leaves_the_controller_out_and_resumes_it(example):
    names, _, auto = example("lightning_module")
    module, resumed = (names["Recommender"](auto.validation) for _ in range(2))
    module.auto, checkpoint = auto, {}
    module.on_save_checkpoint(checkpoint)
    resumed.on_load_checkpoint(checkpoint)
    resumed.configure_optimizers()
    assert resumed.auto.steps == 120
    torch.testing.assert_close(resumed.auto.method.state_dict(), auto.method.state_dict())
    own = {id(parameter) for parameter in resumed.parameters()}
    assert own
    assert not own & {id(parameter) for parameter in resumed.auto.method.parameters()}
